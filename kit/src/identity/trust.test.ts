import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { addTrust, isRevoked, keyOf, readTrust, trustedKeys, trustFileName, wordOf } from "./trust.ts";

interface Place extends Disposable {
  readonly directory: string;
  write(text: string): void;
  text(): string;
}

function makePlace(text?: string): Place {
  const directory = mkdtempSync(join(tmpdir(), "flotilla-trust-"));
  const file = join(directory, trustFileName);
  const place = {
    directory,
    write: (written: string) => writeFileSync(file, written),
    text: () => readFileSync(file, "utf8"),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
  if (text !== undefined) place.write(text);
  return place;
}

const [a, b, c] = ["A", "B", "C"].map((letter) => `${letter.repeat(42)}A`) as [string, string, string];

test("a byte order mark, as some editors write it, says nothing, and a file that is not UTF-8 is none", () => {
  using place = makePlace(`\uFEFFtrust users ${a} 2026-11-24 b\u00fcro\r\n`);
  expect(trustedKeys(readTrust(place.directory), "users")).toEqual([a]);
  writeFileSync(join(place.directory, trustFileName), Buffer.from(`trust users ${a} b\u00fcro\n`, "latin1"));
  expect(() => readTrust(place.directory)).toThrow(
    expect.objectContaining({
      code: "failed_precondition",
      reason: "trust_file",
      message: `${join(place.directory, trustFileName)} is not valid UTF-8`,
    }),
  );
});

test("without a file nobody is trusted", () => {
  using place = makePlace();
  expect(readTrust(place.directory)).toEqual([]);
});

test("a service may have several keys, comments are for people, and the last line wins for none: revoked stays revoked", () => {
  using place = makePlace(
    `# who is who\n\ntrust users ${a} 2026-11-24 host one\ntrust users ${b}\ntrust orders ${c}\r\n`,
  );
  const lines = readTrust(place.directory);
  expect(trustedKeys(lines, "users")).toEqual([a, b]);
  expect(trustedKeys(lines, "orders")).toEqual([c]);
  expect(trustedKeys(lines, "gateway")).toEqual([]);
  expect(lines[0]).toEqual({ verb: "trust", name: "users", key: a, comment: "2026-11-24 host one" });
  place.write(`revoke users ${a}\ntrust users ${a}\ntrust orders ${a}\ntrust users ${b}\n`);
  const after = readTrust(place.directory);
  expect([isRevoked(after, a), isRevoked(after, b)]).toEqual([true, false]);
  // Under whatever name: it is the key that somebody else has.
  expect([trustedKeys(after, "users"), trustedKeys(after, "orders")]).toEqual([[b], []]);
});

test("a line is added whole, also after one that was left without its end", () => {
  using place = makePlace(`trust users ${a}`);
  addTrust(place.directory, { verb: "trust", name: "orders", key: b, comment: "two\nlines" });
  addTrust(place.directory, { verb: "revoke", name: "users", key: a, comment: "" });
  expect(place.text()).toBe(`trust users ${a}\ntrust orders ${b} two lines\nrevoke users ${a}\n`);
});

describe("a trust file is refused whole", () => {
  const damaged = {
    "with another word": `trust users ${a}\nbelieve users ${b}`,
    "with half a line, which may have been one that revokes": `trust users ${a}\nrevoke users ${a.slice(0, 20)}`,
    "with a name that is none": `trust Users ${a}`,
    "with words in another order": `${a} trust users`,
  };
  for (const [what, text] of Object.entries(damaged)) {
    test(what, () => {
      using place = makePlace(text);
      const refused = {
        code: "failed_precondition",
        reason: "trust_file",
        message: expect.stringMatching(/line \d: expected/),
      };
      expect(() => readTrust(place.directory)).toThrow(expect.objectContaining(refused));
    });
  }

  test.runIf(process.platform !== "win32")("that others can write", () => {
    using place = makePlace(`trust users ${a}\n`);
    for (const mode of [0o646, 0o666]) {
      chmodSync(join(place.directory, trustFileName), mode);
      expect(() => readTrust(place.directory)).toThrow(expect.objectContaining({ reason: "file_open" }));
    }
    chmodSync(join(place.directory, trustFileName), 0o644);
    expect(readTrust(place.directory)).toHaveLength(1);
  });
});

test("a key and its word are the same thing", () => {
  const word = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
  expect(wordOf(keyOf(word))).toBe(word);
  expect(keyOf(word).asymmetricKeyType).toBe("ed25519");
});
