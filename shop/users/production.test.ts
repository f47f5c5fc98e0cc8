import { systemClock as clock } from "@flotilla/kit";
import { expect, test } from "vitest";
import { makePasswords } from "./password.ts";
import { assertNoDemoUsers } from "./production.ts";
import { seedUsers } from "./seed.ts";
import { openSqliteUserStore } from "./store-sql.ts";

const passwords = makePasswords();
const by = { nowMs: 1 };

test("production does not start while somebody of the demo has the password that everybody knows", async () => {
  const store = openSqliteUserStore(":memory:");
  await assertNoDemoUsers(store, passwords);
  await seedUsers({ mode: "development", clock, store, passwords });
  const open = (names: string) =>
    expect.objectContaining({ reason: "insecure", message: expect.stringContaining(names) });
  await expect(assertNoDemoUsers(store, passwords)).rejects.toEqual(open("alice, bob, charlie can log in"));
  await store.deleteAccount("user2", by);
  await store.setEnabled("user3", false, by);
  await expect(assertNoDemoUsers(store, passwords)).rejects.toEqual(open("alice can log in"));
  const { passwordHash: verifiedHash } = (await store.accountById("user1"))!;
  const login = { accountId: "user1", sid: "s", familyHash: "f", refreshHash: "r" };
  await store.changePassword({ verifiedHash, passwordHash: await passwords.hash("a horse in the rain") }, login, by);
  await assertNoDemoUsers(store, passwords);
  // And development leaves the deleted deleted.
  await seedUsers({ mode: "development", clock, store, passwords });
  expect((await store.listAccounts()).map(({ username }) => username)).toEqual(["alice", "charlie"]);
});
