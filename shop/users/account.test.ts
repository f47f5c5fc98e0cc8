import fc from "fast-check";
import { expect, it } from "vitest";
import { canonicalUsername } from "../contracts/users.ts";
import { accountId, accountNumber, isAcceptableUsername, isCanonicalUsername } from "./account.ts";

it("a username has one spelling, however it was typed", () => {
  expect(canonicalUsername("ALICE")).toBe("alice");
  expect(canonicalUsername("Rene\u0301")).toBe("ren\u00e9");
});

it("the canonical spelling is its own", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (name) => isCanonicalUsername(canonicalUsername(name))),
  );
});

it.each(["", "Bob", "Rene\u0301", "\ud800"])("%j is no canonical username", (name) => {
  expect(isCanonicalUsername(name)).toBe(false);
});

it("no new account is named like an id, so that a name and an id are never confused", () => {
  for (const name of ["user2", "user02", "user0", "user99999999999999999999"]) {
    expect(isAcceptableUsername(name), name).toBe(false);
  }
  for (const name of ["user", "user2b", "superuser2", "us2er"]) expect(isAcceptableUsername(name), name).toBe(true);
});

it("an id gives back its number", () => {
  fc.assert(fc.property(fc.integer({ min: 1 }), (number) => accountNumber(accountId(number)) === number));
});

it.each(["", "user", "user0", "user01", "user-1", "user1 ", "User1", "order1", "user9999999999999999"])(
  "%j is nobody's id",
  (id) => {
    expect(accountNumber(id)).toBeUndefined();
  },
);
