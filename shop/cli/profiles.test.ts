import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { whileLocked } from "./profile-lock.ts";
import { makeProfiles } from "./profiles.ts";

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "flotilla-profiles-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const login = {
  ...{ token: "t", userId: "user1", username: "alice", role: "admin", expiresAt: 1 },
  ...{ refreshToken: "r", refreshExpiresAt: 2 },
};
const profile = { gateway: "http://127.0.0.1:8080", login };
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

test("a profile is read as it was written; one that was never written is empty", () => {
  const profiles = makeProfiles({ XDG_CONFIG_HOME: home });
  expect(profiles.read("work")).toEqual({});
  profiles.write("work", profile);
  expect(profiles.read("work")).toEqual(profile);
  expect(readdirSync(profiles.directory)).toEqual(["work.json"]);
});

test("the directory follows XDG_CONFIG_HOME if that is absolute, and else the home", () => {
  expect(makeProfiles({ XDG_CONFIG_HOME: home }).directory).toBe(join(home, "flotilla"));
  expect(makeProfiles({ XDG_CONFIG_HOME: "relative", HOME: home }).directory).toBe(join(home, ".config", "flotilla"));
});

test.each(["../up", "", "a/b", ".hidden", "x".repeat(33)])("%j is no profile's name", (name) => {
  expect(() => makeProfiles({ HOME: home }).read(name)).toThrow("A profile has a name");
});

test("what is damaged is said to be so", () => {
  const profiles = makeProfiles({ XDG_CONFIG_HOME: home });
  for (const text of ["{", "null", '{"gateway":"nowhere"}', '{"login":{"token":1}}', '{"login":"x"}']) {
    profiles.write("work", profile);
    writeFileSync(profiles.fileOf("work"), text);
    expect(() => profiles.read("work"), text).toThrow("work.json is damaged");
  }
});

// Windows has no such modes.
test.skipIf(process.platform === "win32")("files and directory are closed to others, or refused", () => {
  const profiles = makeProfiles({ XDG_CONFIG_HOME: home });
  mkdirSync(profiles.directory, { mode: 0o755 });
  profiles.write("work", profile);
  const file = profiles.fileOf("work");
  expect([mode(profiles.directory), mode(file)]).toEqual(["700", "600"]);
  for (const open of [0o640, 0o604, 0o620]) {
    chmodSync(file, open);
    expect(() => profiles.read("work")).toThrow(`open to other users (mode ${open.toString(8)})`);
  }
  profiles.write("work", profile);
  expect(profiles.read("work")).toEqual(profile);
});

test("what cannot be written is said, and leaves nothing", () => {
  writeFileSync(join(home, "flotilla"), "a file");
  expect(() => makeProfiles({ XDG_CONFIG_HOME: home }).write("work", profile)).toThrow("cannot be made");
  expect(readdirSync(home)).toEqual(["flotilla"]);
});

test("of two that renew a login one waits for the other, also when that fails", async () => {
  const profiles = makeProfiles({ XDG_CONFIG_HOME: home });
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const { signal } = new AbortController();
  const first = whileLocked(profiles, "work", {
    signal,
    work: async () => {
      order.push("first begins");
      entered.resolve();
      await gate.promise;
      order.push("first ends");
      throw new Error("it failed");
    },
  });
  await entered.promise;
  const second = whileLocked(profiles, "work", { signal, work: async () => void order.push("second") });
  const other = whileLocked(profiles, "home", { signal, work: async () => void order.push("another profile") });
  await other;
  gate.resolve();
  await expect(first).rejects.toThrow("it failed");
  await second;
  expect(order).toEqual(["first begins", "another profile", "first ends", "second"]);
});

test("who waits for another's renewal gives up when the time is over", async () => {
  const profiles = makeProfiles({ XDG_CONFIG_HOME: home });
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const holder = whileLocked(profiles, "work", {
    signal: new AbortController().signal,
    work: async () => {
      entered.resolve();
      await gate.promise;
    },
  });
  await entered.promise;
  const waiting = whileLocked(profiles, "work", { signal: AbortSignal.abort(), work: async () => "never" });
  await expect(waiting).rejects.toMatchObject({ code: "unavailable" });
  gate.resolve();
  await holder;
});
