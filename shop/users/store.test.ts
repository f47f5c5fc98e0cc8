import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type PostgresServer, startPostgres, whyNoPostgres } from "../../tests/postgres.ts";
import type { Actor } from "../service/audit.ts";
import { openSqlite } from "../service/sqlite.ts";
import { alice, bob, loginOf, makeStoreFile, type StoreFile, startMs, storeKinds } from "./fixtures/stores.ts";
import { idleMsMax, lastUsedStepMs, loginsPerAccountMax } from "./login.ts";
import { accounts } from "./migrations/0001-accounts.ts";
import { hashesOf, newSalt, successorOf } from "./refresh-token.ts";
import { permissions } from "./role.ts";
import type { UserStore } from "./store.ts";
import { openSqliteUserStore } from "./store-sql.ts";

const at = (nowMs: number): Actor => ({ accountId: "user1", nowMs });
const now = at(startMs);

let directory: StoreFile;
beforeEach(() => {
  directory = makeStoreFile();
});
afterEach(() => directory[Symbol.dispose]());

let postgres: PostgresServer | undefined;
beforeAll(async () => {
  if (!whyNoPostgres) postgres = await startPostgres();
});
afterAll(() => postgres?.[Symbol.asyncDispose]());

describe.each(storeKinds)("a user store in %s", (kind, open) => {
  let store: UserStore;
  beforeEach(async ({ skip }) => {
    if (kind === "postgres" && whyNoPostgres) skip(whyNoPostgres);
    store = await open({ file: directory.file, postgres });
    await store.addAccount(alice);
    await store.addAccount(bob);
  });
  afterEach(() => store?.close());

  const login = (sid: string, accountId = "user2", by = now) => store.openLogin(loginOf(accountId, sid).login, by);
  const sids = async (accountId = "user2") => (await store.listLogins(accountId, startMs)).map(({ sid }) => sid);
  const events = async () => (await store.audit({ limit: 1_000, nowMs: startMs })).map(({ event }) => event);

  describe("accounts", () => {
    it("are numbered in the order of their making and found by name and id", async () => {
      expect(await store.accountByName("bob")).toEqual({ ...bob, id: "user2", isEnabled: true });
      expect(await store.accountById("user1")).toEqual({ ...alice, id: "user1", isEnabled: true });
      expect((await store.listAccounts()).map((account) => account.id)).toEqual(["user1", "user2"]);
      expect(await store.count()).toBe(2);
    });

    it("are known under no other name and id", async () => {
      for (const name of ["Alice", "alice ", "", "eve"]) expect(await store.accountByName(name)).toBeUndefined();
      for (const id of ["user0", "user3", "user01", "1", ""]) expect(await store.accountById(id)).toBeUndefined();
    });

    it("have a username once, in its canonical spelling, and a role that there is", async () => {
      await expect(store.addAccount({ ...bob, username: "alice" })).rejects.toMatchObject({ code: "already_exists" });
      await expect(store.addAccount({ ...bob, username: "Eve" })).rejects.toMatchObject({ code: "invalid_argument" });
      const odd = store.addAccount({ ...bob, username: "eve", role: "owner" });
      await expect(odd).rejects.toMatchObject({ code: "not_found" });
      expect((await store.addAccount({ ...bob, username: "eve" })).id).toBe("user3");
      expect(await events()).toEqual(["user_created", "user_created", "user_created"]);
    });

    it("are listed in pages", async () => {
      await store.addAccount({ ...bob, username: "eve" });
      const ids = async (after?: string) => (await store.listAccounts({ after, limit: 2 })).map(({ id }) => id);
      expect(await ids()).toEqual(["user1", "user2"]);
      expect(await ids("user2")).toEqual(["user3"]);
      expect(await ids("user3")).toEqual([]);
    });

    it("that are deleted leave an id and a name that nobody gets, and nothing else", async () => {
      await login("phone");
      await store.deleteAccount("user2", now);
      expect(await store.accountByName("bob")).toBeUndefined();
      expect(await store.accountById("user2")).toBeUndefined();
      expect(await store.count()).toBe(1);
      expect(await sids()).toEqual([]);
      await expect(store.addAccount(bob)).rejects.toMatchObject({ code: "already_exists" });
      expect((await store.addAccount({ ...bob, username: "eve" })).id).toBe("user3");
      for (const again of [store.deleteAccount("user2", now), store.setEnabled("user2", true, now)]) {
        await expect(again).rejects.toMatchObject({ code: "not_found" });
      }
    });

    it("that are disabled have no login and get none", async () => {
      await login("phone");
      expect(await store.standing("user2")).toMatchObject({ account: { username: "bob" } });
      expect(await store.setEnabled("user2", false, now)).toMatchObject({ isEnabled: false });
      expect(await store.useLogin("phone", startMs)).toBeUndefined();
      expect(await store.standing("user2")).toBeUndefined();
      expect(await login("tablet")).toBeUndefined();
      await store.setEnabled("user2", true, now);
      expect(await sids()).toEqual([]);
      expect(await login("tablet")).toBeDefined();
    });

    it("have a standing by a login until the login ends, whether or not anything is written meanwhile", async () => {
      const { idleEndsAtMs } = (await login("phone"))!.login;
      const at = (nowMs: number) => store.standing("user2", { sid: "phone", nowMs });
      expect(await at(idleEndsAtMs - 1)).toMatchObject({ account: { username: "bob" } });
      expect(await at(idleEndsAtMs)).toBeUndefined();
      expect(await at(idleEndsAtMs - 1)).toMatchObject({ account: { username: "bob" } });
      expect(await store.standing("user1", { sid: "phone", nowMs: startMs })).toBeUndefined();
      await login("tablet", "user2", { nowMs: startMs + 1_000 });
      expect(await at(idleEndsAtMs)).toBeUndefined();
      expect(await store.standing("user2", { sid: "tablet", nowMs: idleEndsAtMs })).toBeDefined();
      await store.setEnabled("user2", false, now);
      expect(await at(idleEndsAtMs - 1)).toBeUndefined();
    });

    it("keep one administrator who is enabled, however many units ask at once", async () => {
      const last = { code: "failed_precondition", reason: "last_admin" };
      await expect(store.setEnabled("user1", false, now)).rejects.toMatchObject(last);
      await expect(store.deleteAccount("user1", now)).rejects.toMatchObject(last);
      await expect(store.setRole("user1", "user", now)).rejects.toMatchObject(last);
      await store.setRole("user2", "admin", now);
      const both = [store.setRole("user1", "user", now), store.deleteAccount("user2", now)];
      const outcomes = (await Promise.allSettled(both)).map(({ status }) => status);
      expect(outcomes.sort()).toEqual(["fulfilled", "rejected"]);
      const left = (await store.listAccounts()).filter(({ role }) => role === "admin");
      expect(left).toHaveLength(1);
    });
  });

  describe("logins", () => {
    it("are opened for the password that was compared, and not for one that was changed meanwhile", async () => {
      const { login } = loginOf("user2", "phone");
      expect(await store.openLogin({ ...login, verifiedHash: "another" }, now)).toBeUndefined();
      expect(await store.openLogin({ ...login, accountId: "user9" }, now)).toBeUndefined();
      expect(await store.openLogin({ ...login, replacementHash: "stronger" }, now)).toMatchObject({ ended: [] });
      expect((await store.accountById("user2"))?.passwordHash).toBe("stronger");
    });

    it("are used until they were not refreshed for too long, and not after that", async () => {
      await login("phone");
      expect(await store.useLogin("phone", startMs + idleMsMax - 1)).toMatchObject({ account: { username: "bob" } });
      expect(await store.useLogin("phone", startMs + idleMsMax)).toBeUndefined();
    });

    it("write down their last use once a minute", async () => {
      await login("phone");
      const lastUsedAt = async (ms: number) => (await store.useLogin("phone", startMs + ms))?.login.lastUsedAtMs;
      expect(await lastUsedAt(lastUsedStepMs - 1)).toBe(startMs);
      expect(await lastUsedAt(lastUsedStepMs)).toBe(startMs + lastUsedStepMs);
      expect(await lastUsedAt(lastUsedStepMs + 1)).toBe(startMs + lastUsedStepMs);
    });

    it("of an account are a hundred; the oldest makes room, and is told of", async () => {
      await login("of alice", "user1");
      for (let n = 0; n < loginsPerAccountMax; n++) await login(`${n}`);
      expect((await login("next"))?.ended.map(({ sid }) => sid)).toEqual(["0"]);
      expect(await sids()).toHaveLength(loginsPerAccountMax);
      expect(await store.useLogin("0", startMs)).toBeUndefined();
      expect(await sids("user1")).toEqual(["of alice"]);
      expect((await events()).slice(0, 2)).toEqual(["login", "session_evicted"]);
    });

    it("that are over are removed when somebody logs in", async () => {
      await login("phone");
      const later = await login("tablet", "user1", at(startMs + 14 * 86_400_000));
      expect(later?.ended.map(({ sid }) => sid)).toEqual(["phone"]);
    });

    it("end one by one for their own account only, and all together", async () => {
      for (const sid of ["phone", "tablet", "laptop"]) await login(sid);
      expect(await store.endLogin({ accountId: "user1", sid: "phone" }, "logout", now)).toBe(false);
      expect(await store.endLogin({ accountId: "user2", sid: "phone" }, "logout", now)).toBe(true);
      expect(await store.endLogin({ accountId: "user2", sid: "phone" }, "logout", now)).toBe(false);
      expect(await sids()).toEqual(["laptop", "tablet"]);
      expect(await store.endLogins("user2", now)).toBe(2);
      expect(await sids()).toEqual([]);
    });

    it("all end with a change of password, but for the new one", async () => {
      await login("phone");
      const { login: next } = loginOf("user2", "next");
      const to = { verifiedHash: "$argon2id$a", passwordHash: "$argon2id$b" };
      expect(await store.changePassword({ ...to, verifiedHash: "another" }, next, now)).toBeUndefined();
      expect(await sids()).toEqual(["phone"]);
      expect(await store.changePassword(to, next, now)).toMatchObject({ sid: "next" });
      expect(await sids()).toEqual(["next"]);
      expect((await store.accountById("user2"))?.passwordHash).toBe("$argon2id$b");
    });
  });

  describe("roles", () => {
    it("are three at first, as the specification has two of them", async () => {
      const ofUser = ["order.create", "order.view", "profile.edit"];
      expect(await store.listRoles()).toEqual([
        { name: "admin", permissions },
        { name: "moderator", permissions: [...ofUser, "order.cancel"] },
        { name: "user", permissions: ofUser },
      ]);
    });

    it("come, change and go, and count from the next question on", async () => {
      await store.createRole({ name: "clerk", permissions: ["order.view"] }, now);
      const again = store.createRole({ name: "clerk", permissions: [] }, now);
      await expect(again).rejects.toMatchObject({ code: "already_exists" });
      await store.setRole("user2", "clerk", now);
      expect((await store.standing("user2"))?.permissions).toEqual(["order.view"]);
      await store.setRolePermissions("clerk", ["order.cancel", "order.cancel"], now);
      expect((await store.standing("user2"))?.permissions).toEqual(["order.cancel"]);
      const inUse = { code: "failed_precondition", reason: "role_in_use" };
      await expect(store.deleteRole("clerk", now)).rejects.toMatchObject(inUse);
      await store.deleteAccount("user2", now);
      await store.deleteRole("clerk", now);
      await expect(store.setRole("user1", "clerk", now)).rejects.toMatchObject({ code: "not_found" });
      await expect(store.setRolePermissions("clerk", [], now)).rejects.toMatchObject({ code: "not_found" });
    });

    it("that the system needs stay", async () => {
      const stays = { code: "failed_precondition", reason: "role_protected" };
      await store.deleteAccount("user2", now);
      for (const name of ["admin", "user"]) await expect(store.deleteRole(name, now)).rejects.toMatchObject(stays);
      await expect(store.setRolePermissions("admin", ["order.view"], now)).rejects.toMatchObject(stays);
      await store.setRolePermissions("admin", ["system.admin"], now);
      expect((await store.standing("user1"))?.permissions).toEqual(["system.admin"]);
    });
  });
});

describe("a user store in sqlite", () => {
  it("keeps accounts, logins and roles over a restart", async () => {
    const before = openSqliteUserStore(directory.file);
    await before.addAccount(alice);
    await before.createRole({ name: "clerk", permissions: ["order.view"] }, now);
    await before.openLogin(loginOf("user1", "phone").login, now);
    before.close();
    const after = openSqliteUserStore(directory.file);
    expect(await after.useLogin("phone", startMs)).toMatchObject({ account: { username: "alice" } });
    expect(await after.listRoles()).toHaveLength(4);
    expect((await after.addAccount(bob)).id).toBe("user2");
    after.close();
  });

  it("takes over the accounts of before roles were data, and gives no id twice", async () => {
    const old = openSqlite<never>(directory.file, [accounts]);
    old.close();
    const db = new DatabaseSync(directory.file);
    db.exec(`INSERT INTO accounts (username, email, role, password_hash, created_at_ms)
      VALUES ('alice', 'a@b.c', 'admin', 'hash', 5), ('bob', 'b@b.c', 'user', 'hash', 6);
      INSERT INTO logins (token_hash, account_number, expires_at_ms) VALUES ('x', 1, 9)`);
    db.close();
    const store = openSqliteUserStore(directory.file);
    expect(await store.listAccounts()).toMatchObject([
      { id: "user1", username: "alice", role: "admin", isEnabled: true, createdAtMs: 5, passwordHash: "hash" },
      { id: "user2", username: "bob", role: "user", isEnabled: true },
    ]);
    expect((await store.addAccount({ ...bob, username: "eve" })).id).toBe("user3");
    store.close();
  });

  it("has no refresh token in its files, neither before nor after a rotation", async () => {
    const store = openSqliteUserStore(directory.file);
    await store.addAccount(alice);
    const { login, refreshToken } = loginOf("user1", "phone");
    await store.openLogin(login, now);
    const salt = newSalt();
    const successor = successorOf(refreshToken, salt);
    const successorHash = hashesOf(successor)!.refreshHash;
    await store.rotate({ ...hashesOf(refreshToken)!, successorHash, salt, nowMs: startMs });
    store.close();
    const kept = readFileSync(directory.file);
    for (const token of [refreshToken, successor]) {
      expect(kept.includes(hashesOf(token)!.refreshHash)).toBe(true);
      for (let from = 0; from < 56; from++) expect(kept.includes(token.slice(from, from + 8))).toBe(false);
      expect(kept.includes(Buffer.from(token, "base64url").subarray(0, 16))).toBe(false);
    }
  });
});
