import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openIdentity } from "./identity.ts";
import { listKeys, rotateKey } from "./keys.ts";

let directory = "";
let keyFile = "";
let trustFile = "";
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), "flotilla-private-")), "keys");
  keyFile = join(directory, "users.key");
  trustFile = join(directory, "trusted-keys");
  openIdentity(directory, "users");
});
afterEach(() => rmSync(join(directory, ".."), { recursive: true }));

const modeOf = (file: string) => statSync(file).mode & 0o777;
const refused = (change: object) => expect.objectContaining({ code: "failed_precondition", ...change });

describe.skipIf(process.platform === "win32")("keys on a volume that was handed to a group", () => {
  test("are closed again at every start, with a word about each", () => {
    for (let start = 1; start <= 3; start++) {
      chmodSync(directory, 0o2770);
      for (const file of [keyFile, trustFile]) chmodSync(file, statSync(file).mode | 0o660);
      const closed: string[] = [];
      openIdentity(directory, "users", { onClosed: (file) => closed.push(file) });
      expect(closed).toEqual([keyFile, trustFile]);
      expect([directory, keyFile, trustFile].map(modeOf)).toEqual([0o700, 0o600, 0o644]);
    }
  });

  test("are closed while the service runs, too", () => {
    const closed: string[] = [];
    const identity = openIdentity(directory, "users", { onClosed: (file) => closed.push(file) });
    chmodSync(keyFile, 0o660);
    expect(identity.privateKey.type).toBe("private");
    expect([closed, modeOf(keyFile)]).toEqual([[keyFile], 0o600]);
  });

  test("are refused, and left as they are, when the whole machine could read or write them, or they are another user's", () => {
    for (const mode of [0o604, 0o644, 0o666, 0o602]) {
      chmodSync(keyFile, mode);
      expect(() => openIdentity(directory, "users")).toThrow(refused({ reason: "file_open" }));
      expect(modeOf(keyFile)).toBe(mode);
    }
    chmodSync(keyFile, 0o660);
    if (process.getuid?.() !== 0) return;
    chownSync(keyFile, 12_345, 0);
    expect(() => openIdentity(directory, "users")).toThrow(refused({ reason: "file_open" }));
    expect(modeOf(keyFile)).toBe(0o660);
  });
});

describe("a key file that cannot be used", () => {
  const pem = "-----BEGIN PRIVATE KEY-----";
  test.each([
    ["is empty", "", /users\.key is empty\./],
    ["is damaged", "nonsense", /users\.key is damaged: /],
    ["is cut", `${pem}\nMC4CAQAw`, /users\.key is damaged: /],
  ])("%s: the start is refused, which names it and what to do", (_, text, message) => {
    writeFileSync(keyFile, text);
    for (const use of [() => openIdentity(directory, "users"), () => listKeys(directory)]) {
      expect(use).toThrow(refused({ reason: "key_damaged", message: expect.stringMatching(message) }));
    }
    expect(() => openIdentity(directory, "users")).toThrow(/Restore it from a backup, or remove it/);
    expect(readFileSync(keyFile, "utf8")).toBe(text);
    // One way out.
    rotateKey(directory, "users");
    expect(() => openIdentity(directory, "users")).not.toThrow();
  });

  test("is a directory: the start is refused, which names it", () => {
    rmSync(trustFile);
    openIdentity(trustFile, "other");
    const message = expect.stringContaining(`${trustFile} cannot be read (EISDIR)`);
    expect(() => openIdentity(directory, "users")).toThrow(refused({ reason: "file_unreadable", message }));
  });
});
