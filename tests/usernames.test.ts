import { expect, test } from "vitest";
import { accountKey } from "../shop/gateway/login-limits.ts";
import { canonicalUsername } from "../shop/users/account.ts";

test("the gateway counts log-ins by the spelling that the User Service looks up, so that no other has tries of its own", () => {
  const names = [
    "bob",
    "BOB",
    "Zoë",
    "zoe\u0308",
    "ZOE\u0308",
    "İ",
    "i\u0307",
    "ẞ",
    "ß",
    "\u212b",
    "Å",
    "a\u030a",
    "Σ",
    "ς",
  ];
  for (const one of names) {
    for (const other of names) {
      const isSame = canonicalUsername(one) === canonicalUsername(other);
      expect(accountKey(one) === accountKey(other), `${one} and ${other}`).toBe(isSame);
    }
  }
});
