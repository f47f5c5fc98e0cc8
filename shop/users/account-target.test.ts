import { servicePeer } from "@flotilla/kit/testing";
import { describe, expect, test } from "vitest";
import { expectRefusal, makeUsers, password, type Users } from "./fixtures/users.ts";

const revoked = { code: "permission_denied", reason: "revoked" };
const invalidToken = { code: "unauthenticated", message: "Invalid or expired token" };
const next = "another long word";

/** Two logins of bob, with everything that can be had of each. */
async function bobTwice(users: Users) {
  const logins = [await users.login("bob"), await users.login("bob")] as const;
  const of = (token: string) => {
    const account = users.main.account(token);
    return {
      account,
      user: account.user(),
      byToken: users.main.getUserByToken(token),
      office: account.administration(),
    };
  };
  const [phone, laptop] = [of(logins[0].token), of(logins[1].token)];
  for (const { account, user, byToken, office } of [phone, laptop]) {
    await Promise.all([account.getProfile(), user.getId(), byToken.getId()]);
    await expectRefusal(office.listRoles(), { code: "permission_denied", reason: "permission_missing" });
  }
  const all = [phone, laptop].flatMap((it) => Object.values(it) as unknown as Disposable[]);
  return {
    ...{ logins, phone, laptop },
    [Symbol.dispose]() {
      for (const stub of all) stub[Symbol.dispose]();
    },
  };
}
type Bobs = Awaited<ReturnType<typeof bobTwice>>;

async function expectEnded({ account, user, byToken, office }: Bobs["phone"]): Promise<void> {
  for (const call of [account.getProfile(), account.user(), user.getId(), byToken.hasPermission("order.create")]) {
    await expectRefusal(call as PromiseLike<unknown>, revoked);
  }
  // Before a word about the argument, and so before anything is asked of the store.
  await expectRefusal(office.listUsers({ limit: 0 }), revoked);
}

async function expectAlive({ account, user, byToken }: Bobs["phone"]): Promise<void> {
  expect(await account.getProfile()).toMatchObject({ username: "bob" });
  expect(await Promise.all([user.hasPermission("order.create"), byToken.getId()])).toEqual([true, "user2"]);
}

describe("an account", () => {
  test("lives longer than its token, as does its user", async () => {
    await using users = await makeUsers();
    const { token } = await users.login("bob");
    using account = users.main.account(token);
    using user = account.user();
    using byToken = users.main.getUserByToken(token);
    // Each verifies the token by itself, and not in the order of the calls.
    expect(await Promise.all([byToken.getId(), user.hasPermission("order.view")])).toEqual(["user2", true]);
    users.letPass(60_000);
    await expectRefusal(byToken.getId(), { code: "permission_denied", reason: "expired" });
    expect(await user.hasPermission("order.view")).toBe(true);
    expect(await account.getProfile()).toEqual({
      ...{ userId: "user2", username: "bob", email: "bob@example.com", role: "user" },
    });
    // And no longer than its login.
    users.letPass(14 * 86_400_000);
    await expectRefusal(user.hasPermission("order.view"), revoked);
    await expectRefusal(account.getProfile(), revoked);
  });

  test("is given for a token only, and cannot be introduced", async () => {
    await using users = await makeUsers();
    const { token, refreshToken } = await users.login("bob");
    for (const text of ["", refreshToken, `${token}A`]) await expectRefusal(users.main.account(text), invalidToken);
    using account = users.main.account(token);
    const loose = account as unknown as { deposit(...args: unknown[]): PromiseLike<unknown> };
    await expectRefusal(loose.deposit("A".repeat(24), "orders", 1_000), { code: "unimplemented" });
    const orders = users.link(servicePeer("orders")).main as unknown as typeof users.main;
    await expectRefusal(orders.account(token), { code: "unimplemented" });
  });

  test("changes its e-mail, with the permission for it", async () => {
    await using users = await makeUsers();
    using account = users.main.account((await users.login("bob")).token);
    expect(await account.editProfile({ email: "new@example.com" })).toMatchObject({ email: "new@example.com" });
    expect(await account.editProfile({})).toMatchObject({ email: "new@example.com" });
    for (const email of ["", "bob", "a b@c.d", "a@b@c", "e\u0301@b.c", "a\u202e@b.c", "a\u0000@b.c"]) {
      await expectRefusal(account.editProfile({ email }), { code: "invalid_argument", reason: "email_malformed" });
    }
    const greedy = { email: "x@example.com", role: "admin" };
    await expectRefusal(account.editProfile(greedy), { code: "invalid_argument" });
    await users.deps.store.setRolePermissions("user", ["order.view"], { nowMs: 0 });
    await expectRefusal(account.editProfile({ email: "x@example.com" }), { code: "permission_denied" });
    expect(await account.getProfile()).toMatchObject({ email: "new@example.com", role: "user" });
  });

  test("lists its logins, and ends one of them, but none of another's", async () => {
    await using users = await makeUsers();
    using bobs = await bobTwice(users);
    using alice = users.main.account((await users.login("alice")).token);
    const [laptop, phone] = await bobs.laptop.account.listSessions();
    expect([laptop?.isThisOne, phone?.isThisOne]).toEqual([true, false]);
    await expectRefusal(alice.endSession(phone!.sessionId), { code: "not_found" });
    await expectRefusal(bobs.laptop.account.endSession("nothing"), { code: "not_found" });
    await bobs.laptop.account.endSession(phone!.sessionId);
    await expectEnded(bobs.phone);
    await expectRefusal(users.main.refresh(bobs.logins[0].refreshToken), invalidToken);
    await expectAlive(bobs.laptop);
    expect((await users.trail())[0]).toBe("session_ended user2>user2");
  });

  test("that logs out ends what came of that login, and of no other", async () => {
    await using users = await makeUsers();
    using bobs = await bobTwice(users);
    expect(await bobs.phone.account.logout()).toEqual({ ended: 1 });
    await expectEnded(bobs.phone);
    await expectRefusal(users.main.getUserByToken(bobs.logins[0].token), invalidToken);
    await expectRefusal(users.main.refresh(bobs.logins[0].refreshToken), invalidToken);
    await expectAlive(bobs.laptop);
  });

  test("that logs out everywhere ends what came of all its logins, and not the next one", async () => {
    await using users = await makeUsers();
    using bobs = await bobTwice(users);
    expect(await bobs.phone.account.logoutEverywhere()).toEqual({ ended: 2 });
    await expectEnded(bobs.phone);
    await expectEnded(bobs.laptop);
    using account = users.main.account((await users.login("bob")).token);
    expect(await account.listSessions()).toHaveLength(1);
  });

  test("that changes its password ends all logins and answers a new one", async () => {
    await using users = await makeUsers();
    using bobs = await bobTwice(users);
    const { account } = bobs.phone;
    const wrong = { code: "unauthenticated", reason: "wrong_password" };
    await expectRefusal(account.changePassword("wrong", next), wrong);
    await expectRefusal(account.changePassword(password, "short"), { reason: "password_too_short" });
    await expectRefusal(account.changePassword(password, "Password123"), { reason: "password_common" });
    await expectAlive(bobs.laptop);
    const login = await account.changePassword(password, next);
    expect(login).toMatchObject({ userId: "user2", username: "bob", role: "user" });
    await expectEnded(bobs.phone);
    await expectEnded(bobs.laptop);
    for (const old of bobs.logins) await expectRefusal(users.main.refresh(old.refreshToken), invalidToken);
    await expectRefusal(users.main.authenticate("bob", password), { code: "unauthenticated" });
    using again = users.main.account((await users.main.refresh(login.refreshToken)).token);
    expect(await again.listSessions()).toHaveLength(1);
    expect(await users.main.authenticate("bob", next)).toBeDefined();
    expect(await users.trail()).toContain("password_changed user2>user2");
  });
});

test("a capability that is made while its login ends is born revoked", async () => {
  await using users = await makeUsers();
  const { token } = await users.login("bob");
  const { store, revokers } = users.deps;
  const seen = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const { useLogin } = store;
  store.useLogin = async (...args) => {
    const found = await useLogin(...args);
    seen.resolve();
    await go.promise;
    return found;
  };
  using bob = users.main.getUserByToken(token);
  const answer = bob.getId();
  await seen.promise;
  await store.endLogins("user2", { nowMs: users.deps.clock.now() });
  revokers.endAccount("user2");
  go.resolve();
  await expectRefusal(answer, revoked);
});
