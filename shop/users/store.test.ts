import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loginsPerAccountMax, type NewAccount, type UserStore } from "./store.ts";
import { makeMemoryUserStore } from "./store-memory.ts";
import { openSqliteUserStore } from "./store-sqlite.ts";
import { hashToken, newToken } from "./token.ts";

const alice: NewAccount = {
  username: "alice",
  email: "alice@example.com",
  role: "admin",
  passwordHash: "$argon2id$a",
  createdAtMs: 1_000,
};
const bob: NewAccount = { ...alice, username: "bob", email: "bob@example.com", role: "user" };

let directory = "";
let file = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-users-"));
  file = join(directory, "users.db");
});
afterEach(() => rmSync(directory, { recursive: true }));

const kinds: Record<string, () => UserStore> = {
  memory: makeMemoryUserStore,
  sqlite: () => openSqliteUserStore(file),
};

describe.each(Object.entries(kinds))("a user store in %s", (_, open) => {
  let store: UserStore;
  beforeEach(() => {
    store = open();
  });
  afterEach(() => store.close());

  const login = (token: string, accountId: string, expiresAtMs = 5_000) =>
    store.openLogin({ tokenHash: hashToken(token), accountId, expiresAtMs, nowMs: 1_000 });

  it("numbers accounts in the order of their making and finds them by name and id", async () => {
    expect(await store.count()).toBe(0);
    expect(await store.addAccount(alice)).toEqual({ ...alice, id: "user1" });
    expect(await store.addAccount(bob)).toEqual({ ...bob, id: "user2" });
    expect(await store.accountByName("bob")).toEqual({ ...bob, id: "user2" });
    expect(await store.accountById("user1")).toEqual({ ...alice, id: "user1" });
    expect((await store.listAccounts()).map((account) => account.id)).toEqual(["user1", "user2"]);
    expect(await store.count()).toBe(2);
  });

  it("knows nobody else", async () => {
    await store.addAccount(alice);
    for (const name of ["Alice", "alice ", "", "bob"]) expect(await store.accountByName(name)).toBeUndefined();
    for (const id of ["user0", "user2", "user01", "1", ""]) expect(await store.accountById(id)).toBeUndefined();
  });

  it("gives a username once", async () => {
    await store.addAccount(alice);
    await expect(store.addAccount({ ...bob, username: "alice" })).rejects.toMatchObject({ code: "already_exists" });
    expect(await store.listAccounts()).toEqual([{ ...alice, id: "user1" }]);
    expect((await store.addAccount(bob)).id).toBe("user2");
  });

  it("takes a username in its canonical spelling only", async () => {
    const added = store.addAccount({ ...alice, username: "Alice" });
    await expect(added).rejects.toMatchObject({ code: "invalid_argument" });
  });

  it("finds a login by the hash of its token, with its account", async () => {
    const account = await store.addAccount(alice);
    const token = newToken();
    await login(token, account.id);
    const found = await store.loginByTokenHash(hashToken(token));
    expect(found).toEqual({ accountId: "user1", expiresAtMs: 5_000, account });
    expect(await store.loginByTokenHash(token)).toBeUndefined();
    expect(await store.loginByTokenHash(hashToken(newToken()))).toBeUndefined();
  });

  it("opens no login for an account that is not there", async () => {
    await expect(login("token", "user1")).rejects.toMatchObject({ code: "not_found" });
    expect(await store.loginByTokenHash(hashToken("token"))).toBeUndefined();
  });

  it("never moves a login to another account", async () => {
    await store.addAccount(alice);
    await store.addAccount(bob);
    await login("token", "user1");
    await expect(login("token", "user2")).rejects.toMatchObject({ code: "already_exists" });
    expect((await store.loginByTokenHash(hashToken("token")))?.accountId).toBe("user1");
  });

  it("removes what has expired when somebody logs in", async () => {
    await store.addAccount(alice);
    await login("short", "user1", 1_500);
    await login("long", "user1", 9_000);
    await store.openLogin({ tokenHash: hashToken("next"), accountId: "user1", expiresAtMs: 9_000, nowMs: 1_500 });
    expect(await store.loginByTokenHash(hashToken("short"))).toBeUndefined();
    expect(await store.loginByTokenHash(hashToken("long"))).toBeDefined();
  });

  it("keeps the newest logins of each account and ends its oldest", async () => {
    await store.addAccount(alice);
    await store.addAccount(bob);
    await login("of bob", "user2");
    for (let n = 0; n < loginsPerAccountMax + 2; n++) await login(`${n}`, "user1");
    const alive = async (token: string) => (await store.loginByTokenHash(hashToken(token))) !== undefined;
    expect(await Promise.all(["0", "1", "2", "101", "of bob"].map(alive))).toEqual([false, false, true, true, true]);
  });
});

describe("a user store in sqlite", () => {
  it("keeps accounts and logins over a restart", async () => {
    const before = openSqliteUserStore(file);
    const account = await before.addAccount(alice);
    await before.openLogin({ tokenHash: hashToken("t"), accountId: account.id, expiresAtMs: 5_000, nowMs: 1_000 });
    before.close();
    const after = openSqliteUserStore(file);
    expect(await after.listAccounts()).toEqual([account]);
    expect(await after.loginByTokenHash(hashToken("t"))).toEqual({ accountId: "user1", expiresAtMs: 5_000, account });
    expect((await after.addAccount(bob)).id).toBe("user2");
    after.close();
  });

  it("has no token in its files", async () => {
    const token = newToken();
    const store = openSqliteUserStore(file);
    await store.addAccount(alice);
    await store.openLogin({ tokenHash: hashToken(token), accountId: "user1", expiresAtMs: 5_000, nowMs: 1_000 });
    const written = () => readFileSync(`${file}-wal`).includes(token) || readFileSync(file).includes(token);
    expect(written()).toBe(false);
    store.close();
    expect(readFileSync(file).includes(hashToken(token))).toBe(true);
    expect(readFileSync(file).includes(token)).toBe(false);
  });
});
