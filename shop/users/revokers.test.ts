import { expect, test } from "vitest";
import { makeRevokers } from "./revokers.ts";

const phone = { accountId: "user2", sid: "phone" };
const laptop = { accountId: "user2", sid: "laptop" };
const others = { accountId: "user3", sid: "phone" };

test("a login ends alone, an account with all its logins", () => {
  const revokers = makeRevokers();
  const [a, b, c] = [revokers.hold(phone), revokers.hold(laptop), revokers.hold(others)];
  revokers.endLogin(phone);
  expect([a, b, c].map(({ revocation }) => revocation.isRevoked)).toEqual([true, false, false]);
  revokers.endAccount("user2");
  expect([a, b, c].map(({ revocation }) => revocation.isRevoked)).toEqual([true, true, false]);
});

test("what comes after the end hangs on a revoker of its own; what was held before stays revoked", () => {
  const revokers = makeRevokers();
  const before = revokers.hold(phone);
  revokers.endAccount("user2");
  const after = revokers.hold(phone);
  expect(before.again().revocation.isRevoked).toBe(true);
  expect(after.revocation.isRevoked).toBe(false);
  before[Symbol.dispose]();
  expect(revokers.size).toBe(1);
  revokers.endLogin(phone);
  expect(after.revocation.isRevoked).toBe(true);
});

test("nothing is kept for those of whom nothing is held", () => {
  const revokers = makeRevokers();
  revokers.endLogin(phone);
  revokers.endAccount("user2");
  for (let n = 0; n < 1_000; n++) {
    const hold = revokers.hold({ accountId: `user${n % 10}`, sid: `${n}` });
    const again = hold.again();
    hold[Symbol.dispose]();
    hold[Symbol.dispose]();
    expect(revokers.size).toBe(1);
    again[Symbol.dispose]();
    expect(revokers.size).toBe(0);
  }
  const held = [revokers.hold(phone), revokers.hold(phone), revokers.hold(laptop)];
  revokers.endLogin(phone);
  expect(revokers.size).toBe(1);
  revokers.endAccount("user2");
  expect(revokers.size).toBe(0);
  for (const hold of held) hold[Symbol.dispose]();
  expect(revokers.size).toBe(0);
});
