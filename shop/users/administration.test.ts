import { describe, expect, test } from "vitest";
import type { Administration } from "../contracts/administration.ts";
import { expectRefusal, makeUsers, password, type Users } from "./fixtures/users.ts";
import { permissions } from "./role.ts";

const missing = { code: "permission_denied", reason: "permission_missing" };
const newUser = { username: "Eve", password: "a horse in the rain", email: "eve@example.com" };

async function officeOf(users: Users, username: string) {
  using account = users.main.account((await users.login(username)).token);
  return account.administration();
}

/** Each method, as somebody calls it who tries. */
const attempts: Record<keyof Omit<Administration, symbol | "__RPC_TARGET_BRAND">, unknown[]> = {
  createUser: [newUser],
  disableUser: ["user1"],
  enableUser: ["user1"],
  deleteUser: ["user1"],
  listUsers: [],
  setRole: ["user2", "admin"],
  listRoles: [],
  createRole: ["owner", ["system.admin"]],
  deleteRole: ["moderator"],
  setRolePermissions: ["user", [...permissions]],
  audit: [],
};
type Loose = Record<string, (...args: unknown[]) => PromiseLike<unknown>>;

test("none of its methods does anything for a user or a moderator", async () => {
  await using users = await makeUsers();
  await users.deps.store.setRole("user3", "moderator", { nowMs: 0 });
  const before = await users.trail();
  for (const name of ["bob", "jos\u00e9"]) {
    using office = await officeOf(users, name);
    for (const [method, args] of Object.entries(attempts)) {
      await expectRefusal((office as unknown as Loose)[method]!(...args), missing);
    }
  }
  expect((await users.trail()).filter((line) => !line.startsWith("login "))).toEqual(before);
});

describe("an administrator", () => {
  test("makes users, under names and passwords that will do", async () => {
    await using users = await makeUsers();
    using office = await officeOf(users, "alice");
    expect(await office.createUser(newUser)).toMatchObject({
      id: "user4",
      username: "eve",
      role: "user",
      isEnabled: true,
    });
    expect(await users.main.authenticate("EVE", newUser.password)).toMatchObject({ userId: "user4" });
    expect(await office.createUser({ ...newUser, username: "mod", role: "moderator" })).toMatchObject({
      role: "moderator",
    });
    expect(await users.trail()).toContain("user_created user1>user4");
    const refused = async (change: object, refusal: object) =>
      await expectRefusal(office.createUser({ ...newUser, username: "fresh", ...change }), refusal);
    await refused({ username: "eve" }, { code: "already_exists" });
    await refused({ role: "owner" }, { code: "not_found", reason: "role_unknown" });
    await refused({ password: "short" }, { reason: "password_too_short" });
    await refused({ password: "fresh123" }, { reason: "password_guessable" });
    await refused({ email: "nowhere" }, { reason: "email_malformed" });
    await refused({ isEnabled: true }, { code: "invalid_argument" });
    const names = [
      "a",
      "\u0430lice",
      "\uff41lice",
      "al\u200bice",
      "a\u202eb",
      "a\u0000b",
      "a b",
      "-ab",
      "%",
      "a'--",
      "\ud800a",
      "user2",
    ];
    for (const username of names) await refused({ username }, { reason: "username_malformed" });
  });

  test("disables a user, whose capabilities end before the call returns, and enables them again", async () => {
    await using users = await makeUsers();
    using office = await officeOf(users, "alice");
    using account = users.main.account((await users.login("bob")).token);
    using bob = account.user();
    expect(await bob.getId()).toBe("user2");
    expect(await office.disableUser("user2")).toMatchObject({ isEnabled: false });
    await expectRefusal(bob.getId(), { code: "permission_denied", reason: "revoked" });
    await expectRefusal(account.getProfile(), { code: "permission_denied", reason: "revoked" });
    await expectRefusal(users.login("bob"), { message: "Invalid username or password" });
    expect(await office.enableUser("user2")).toMatchObject({ isEnabled: true });
    await expectRefusal(bob.getId(), { reason: "revoked" });
    expect(await users.login("bob")).toBeDefined();
  });

  test("deletes a user, of whom id and name are given to nobody again", async () => {
    await using users = await makeUsers();
    using office = await officeOf(users, "alice");
    using bob = users.main.getUserByToken((await users.login("bob")).token);
    expect(await bob.getId()).toBe("user2");
    await office.deleteUser("user2");
    await expectRefusal(bob.getId(), { code: "permission_denied", reason: "revoked" });
    await expectRefusal(users.main.getUser("user2"), { code: "not_found" });
    await expectRefusal(office.enableUser("user2"), { code: "not_found" });
    await expectRefusal(office.createUser({ ...newUser, username: "bob" }), { code: "already_exists" });
    expect((await users.main.listUsers()).map(({ id }) => id)).toEqual(["user1", "user3"]);
  });

  test("makes a role and gives it: that counts from the next call, ends nothing, and can be taken back", async () => {
    await using users = await makeUsers();
    using office = await officeOf(users, "alice");
    using bob = users.main.getUserByToken((await users.login("bob")).token);
    expect(await bob.hasPermission("order.cancel")).toBe(false);
    await office.setRole("user2", "moderator");
    expect(await bob.hasPermission("order.cancel")).toBe(true);
    expect(await bob.getRole()).toBe("moderator");
    await office.createRole("clerk", ["order.view"]);
    await office.setRole("user2", "clerk");
    expect(await Promise.all([bob.hasPermission("order.cancel"), bob.hasPermission("order.view")])).toEqual([
      false,
      true,
    ]);
    await office.setRolePermissions("clerk", ["order.cancel"]);
    expect(await Promise.all([bob.hasPermission("order.cancel"), bob.hasPermission("order.view")])).toEqual([
      true,
      false,
    ]);
    await office.setRole("user2", "user");
    expect(await bob.hasPermission("order.cancel")).toBe(false);
    await office.deleteRole("clerk");
    expect((await office.listRoles()).map(({ name }) => name)).toEqual(["admin", "moderator", "user"]);
  });

  test("grants no word that is no permission, and makes no role of a malformed name", async () => {
    await using users = await makeUsers();
    using office = await officeOf(users, "alice");
    for (const word of ["order.delete", "*", "ORDER.VIEW", "constructor", ""]) {
      const unknown = { code: "invalid_argument", reason: "permission_unknown" };
      await expectRefusal(office.createRole("clerk", [word]), unknown);
      await expectRefusal(office.setRolePermissions("user", ["order.view", word]), unknown);
    }
    for (const name of ["", "A", "1a", "a b", "a".repeat(33)]) {
      await expectRefusal(office.createRole(name, []), { reason: "role_malformed" });
    }
  });

  test("who is the last cannot be taken away, by themselves or by two at once", async () => {
    await using users = await makeUsers();
    using office = await officeOf(users, "alice");
    const last = { code: "failed_precondition", reason: "last_admin" };
    await expectRefusal(office.disableUser("user1"), last);
    await expectRefusal(office.deleteUser("user1"), last);
    await expectRefusal(office.setRole("user1", "user"), last);
    expect(await office.listRoles()).toHaveLength(3);
    await office.setRole("user2", "admin");
    using second = await officeOf(users, "bob");
    const both = [office.disableUser("user2"), second.disableUser("user1")].map((call) => Promise.resolve(call));
    const kept = (await Promise.allSettled(both)).filter(({ status }) => status === "rejected");
    expect(kept).toHaveLength(1);
  });

  test("who is one no longer cannot do anything with what they hold", async () => {
    await using users = await makeUsers();
    using office = await officeOf(users, "alice");
    expect(await office.listUsers()).toMatchObject({ users: [{}, {}, {}] });
    await office.setRole("user2", "admin");
    await office.setRole("user1", "user");
    for (const [method, args] of Object.entries(attempts)) {
      await expectRefusal((office as unknown as Loose)[method]!(...args), missing);
    }
  });

  test("reads users and the trail in pages", async () => {
    await using users = await makeUsers();
    using office = await officeOf(users, "alice");
    const first = await office.listUsers({ limit: 2 });
    expect(first).toMatchObject({
      users: [{ id: "user1", email: "alice@example.com" }, { id: "user2" }],
      next: "user2",
    });
    const second = await office.listUsers({ after: first.next!, limit: 2 });
    expect(second.users.map(({ id }) => id)).toEqual(["user3"]);
    expect(second.next).toBeUndefined();
    const newest = await office.audit({ limit: 1 });
    expect(newest.entries).toMatchObject([{ event: "login", actorId: "user1", subjectId: "user1", count: 1 }]);
    const older = await office.audit({ before: newest.next!, limit: 1 });
    expect(older.entries).toMatchObject([{ event: "user_created", subjectId: "user3" }]);
    expect((await office.audit({ subjectId: "user2" })).entries).toHaveLength(1);
    for (const limit of [0, 101, 1e9, 1.5])
      await expectRefusal(office.listUsers({ limit }), { code: "invalid_argument" });
  });

  test("leaves no password in the trail", async () => {
    await using users = await makeUsers();
    using office = await officeOf(users, "alice");
    await office.createUser(newUser);
    const login = await users.main.authenticate("eve", newUser.password);
    await users.main.refresh(login.refreshToken);
    users.letPass(60_000);
    const said = JSON.stringify(await office.audit());
    for (const secret of [password, newUser.password, login.token, login.refreshToken, "$argon2id"]) {
      expect(said).not.toContain(secret);
    }
  });
});

describe("somebody with a part of it", () => {
  test("makes users, but nobody with more than the least of roles", async () => {
    await using users = await makeUsers();
    const { store } = users.deps;
    await store.createRole({ name: "clerk", permissions: ["user.create"] }, { nowMs: 0 });
    await store.setRole("user2", "clerk", { nowMs: 0 });
    using office = await officeOf(users, "bob");
    await expectRefusal(office.createUser({ ...newUser, role: "admin" }), missing);
    await expectRefusal(office.createUser({ ...newUser, role: "clerk" }), missing);
    expect(await office.createUser(newUser)).toMatchObject({ role: "user" });
    await expectRefusal(office.disableUser("user3"), missing);
  });

  test("removes users, but nobody who could give them that right", async () => {
    await using users = await makeUsers();
    const { store } = users.deps;
    await store.createRole({ name: "bouncer", permissions: ["user.delete"] }, { nowMs: 0 });
    await store.setRole("user2", "bouncer", { nowMs: 0 });
    await store.addAccount({ ...newUser, username: "adam", role: "admin", passwordHash: "x", createdAtMs: 0 });
    using office = await officeOf(users, "bob");
    await expectRefusal(office.disableUser("user1"), missing);
    await expectRefusal(office.deleteUser("user1"), missing);
    await office.deleteUser("user3");
  });
});
