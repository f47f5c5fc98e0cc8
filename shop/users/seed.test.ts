import { systemClock as clock } from "@flotilla/kit";
import { expect, test } from "vitest";
import type { Mode } from "../topology.ts";
import { makePasswords } from "./password.ts";
import { seedUsers } from "./seed.ts";
import { openSqliteUserStore } from "./store-sql.ts";

const passwords = makePasswords();

async function seeded(mode: Mode) {
  const store = openSqliteUserStore(":memory:");
  const adminPassword = await seedUsers({ mode, clock, store, passwords });
  return { store, adminPassword, accounts: await store.listAccounts() };
}

test("development has the demo's three users, with the password everybody knows", async () => {
  const { accounts, adminPassword } = await seeded("development");
  expect(accounts.map(({ id, username, email, role }) => ({ id, username, email, role }))).toEqual([
    { id: "user1", username: "alice", email: "alice@example.com", role: "admin" },
    { id: "user2", username: "bob", email: "bob@example.com", role: "user" },
    { id: "user3", username: "charlie", email: "charlie@example.com", role: "user" },
  ]);
  for (const { passwordHash } of accounts) expect(await passwords.verify(passwordHash, "password")).toBe(true);
  expect(new Set(accounts.map(({ passwordHash }) => passwordHash)).size).toBe(3);
  expect(adminPassword).toBeUndefined();
});

test("production has one administrator, with a password that is random and told once", async () => {
  const { store, accounts, adminPassword } = await seeded("production");
  expect(accounts).toMatchObject([{ username: "admin", role: "admin" }]);
  expect(adminPassword).toMatch(/^[\w-]{24}$/);
  expect(await passwords.verify(accounts[0]?.passwordHash, adminPassword!)).toBe(true);
  expect(await passwords.verify(accounts[0]?.passwordHash, "password")).toBe(false);
  expect(JSON.stringify(accounts)).not.toContain(adminPassword);
  expect(await seedUsers({ mode: "production", clock, store, passwords })).toBeUndefined();
  expect((await seeded("production")).adminPassword).not.toBe(adminPassword);
});

test("development makes up for those who are missing because an earlier start was killed", async () => {
  const store = openSqliteUserStore(":memory:");
  await store.addAccount({ username: "alice", email: "a@b.c", role: "admin", passwordHash: "x", createdAtMs: 1 });
  await seedUsers({ mode: "development", clock, store, passwords });
  expect((await store.listAccounts()).map(({ username }) => username)).toEqual(["alice", "bob", "charlie"]);
});

test("a store that has users is left as it is, in either mode", async () => {
  const { store, accounts } = await seeded("development");
  for (const mode of ["development", "production"] as const) {
    expect(await seedUsers({ mode, clock, store, passwords })).toBeUndefined();
  }
  expect(await store.listAccounts()).toEqual(accounts);
});

test("two instances that start at once make one administrator, and one of them tells the password", async () => {
  const store = openSqliteUserStore(":memory:");
  const told = await Promise.all([1, 2].map(() => seedUsers({ mode: "production", clock, store, passwords })));
  const [password, ...others] = told.filter((it) => it !== undefined);
  expect(others).toEqual([]);
  const [admin] = await store.listAccounts();
  expect(await passwords.verify(admin?.passwordHash, password!)).toBe(true);
});
