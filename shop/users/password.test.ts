import { FlotillaError } from "@flotilla/kit";
import { parseOptions } from "@node-rs/argon2";
import { describe, expect, it } from "vitest";
import { argonOptions } from "./argon.ts";
import { dummyHash, makePasswords, passwordCharsMax } from "./password.ts";

const passwords = makePasswords();

describe("a password", () => {
  it("is verified by its hash, and no other is", async () => {
    const hash = await passwords.hash("correct horse");
    expect(hash).not.toContain("correct horse");
    expect(await passwords.verify(hash, "correct horse")).toBe(true);
    expect(await passwords.verify(hash, "correct horse ")).toBe(false);
    expect(await passwords.verify(hash, "")).toBe(false);
  });

  it("is hashed with Argon2id, 19 MiB and two passes, and a salt of its own", async () => {
    const [one, two] = await Promise.all([passwords.hash("same"), passwords.hash("same")]);
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(one).not.toBe(two);
  });

  it("is the same however its accents were typed", async () => {
    expect(await passwords.verify(await passwords.hash("caf\u00e9"), "cafe\u0301")).toBe(true);
  });

  it("of an unknown user is refused, after the work a known user's takes", async () => {
    expect(await passwords.verify(undefined, "password")).toBe(false);
    expect(parseOptions(dummyHash)).toMatchObject(argonOptions);
  });

  it("that is too long is refused before it is hashed", async () => {
    const long = "x".repeat(passwordCharsMax);
    expect(await passwords.verify(await passwords.hash(long), long)).toBe(true);
    await expect(passwords.hash(`${long}x`)).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(passwords.verify(undefined, `${long}x`)).rejects.toMatchObject({ code: "invalid_argument" });
  });
});

describe("a crowd", () => {
  it("is served up to those who run and 64 who wait; the rest are told to come back", async () => {
    const crowded = makePasswords({ parallel: 2 });
    const outcomes = await Promise.allSettled(Array.from({ length: 70 }, () => crowded.verify(undefined, "x")));
    const refused = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
    expect(outcomes.slice(0, 66).every((outcome) => outcome.status === "fulfilled")).toBe(true);
    expect(refused).toHaveLength(4);
    const busy = { code: "resource_exhausted", reason: "passwords_busy", retryable: true, retryAfterMs: 1_000 };
    for (const error of refused) expect(error).toMatchObject(busy);
    expect(refused[0]).toBeInstanceOf(FlotillaError);
    expect(await crowded.verify(undefined, "x")).toBe(false);
  });

  it("does not lose its place to one whose hash cannot be read", async () => {
    const narrow = makePasswords({ parallel: 1 });
    for (let n = 0; n < 3; n++) await expect(narrow.verify("not a hash", "x")).rejects.toThrow();
    expect(await narrow.verify(undefined, "x")).toBe(false);
  });
});
