import { expect, test } from "vitest";
import { demoPassword, makeShop, type Shop, someItems } from "../../tests/shop-harness.ts";

const revoked = { code: "permission_denied", reason: "revoked" };
const invalidToken = { code: "unauthenticated", message: "Invalid or expired token" };

/** What `calls` come to, on the shop's clock. */
const run = <T>(shop: Shop, call: PromiseLike<T>): Promise<T> => shop.clock.run(call);

test("an account is held as a capability, whose methods need no token", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("bob");
  {
    using bob = await run(shop, shop.client.account(token));
    expect(await run(shop, bob.profile())).toMatchObject({ userId: "user2", username: "bob", role: "user" });
    expect(await run(shop, bob.createOrder(someItems))).toMatchObject({ orderId: "order1", total: 1059.97 });
    expect(await run(shop, bob.createOrder(someItems, "key"))).toMatchObject({ orderId: "order2" });
    expect(await run(shop, bob.createOrder(someItems, "key"))).toMatchObject({ orderId: "order2" });
    expect(await run(shop, bob.orders())).toHaveLength(2);
    await expect(run(shop, bob.cancelOrder("order1"))).rejects.toMatchObject({ code: "permission_denied" });
    expect(await run(shop, bob.editProfile({ email: "bob@new.example" }))).toMatchObject({ email: "bob@new.example" });
    // However many orders, one introduction.
    const deposits = shop.links.gatewayUsers.messages.filter((message) => message.includes('["deposit"]'));
    expect(deposits).toHaveLength(1);
  }
  await shop.clock.advance(10);
  expect(shop.introductions.size).toBe(0);
});

test("calls on an account can be pipelined: it is had and used in one round trip", async () => {
  await using shop = await makeShop({ delayMs: 10 });
  const { token } = await shop.login("bob");
  const startMs = shop.clock.monotonicMs();
  using bob = shop.client.account(token);
  expect(await run(shop, bob.profile())).toMatchObject({ username: "bob" });
  // To the gateway and back, and from there to the User Service and back: for the token, its owner, and the question.
  expect(shop.clock.monotonicMs() - startMs).toBeLessThanOrEqual(20 + 3 * 20);
});

test("a call that is under way is answered, though its account is given back meanwhile", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("bob");
  const held = await run(shop, shop.client.account(token));
  const first = held.createOrder(someItems);
  held[Symbol.dispose]();
  expect(await run(shop, first)).toMatchObject({ orderId: "order1" });
  const promised = shop.client.account(token);
  const second = promised.createOrder(someItems);
  promised[Symbol.dispose]();
  expect(await run(shop, second)).toMatchObject({ orderId: "order2" });
  const alice = await shop.login("alice");
  const account = shop.client.account(alice.token);
  const administration = account.administration();
  const roles = administration.listRoles();
  for (const given of [administration, account]) given[Symbol.dispose]();
  expect(await run(shop, roles)).not.toHaveLength(0);
  await shop.clock.advance(10);
  expect(shop.introductions.size).toBe(0);
});

test("who has no token gets no account", async () => {
  await using shop = await makeShop();
  await expect(run(shop, shop.client.account("none"))).rejects.toMatchObject(invalidToken);
});

test("logging out ends the account at every holder, the kept introduction, and every token of that login", async () => {
  await using shop = await makeShop();
  const { token, refreshToken } = await shop.login("bob");
  const other = await shop.login("bob");
  using held = await run(shop, shop.client.account(token));
  using ofOther = await run(shop, shop.client.account(other.token));
  await run(shop, held.createOrder(someItems));
  await run(shop, shop.client.createOrder(token, someItems));
  expect(await run(shop, shop.client.logout(token))).toEqual({ ended: 1 });
  for (const call of [held.profile(), held.orders(), held.createOrder(someItems), held.administration()]) {
    await expect(run<unknown>(shop, call)).rejects.toMatchObject(revoked);
  }
  // Of the token, none is kept from then on; that of the account went at its first refusal.
  expect(shop.introductions.size).toBe(0);
  for (const call of [shop.client.listOrders(token), shop.client.account(token), shop.client.refresh(refreshToken)]) {
    await expect(run<unknown>(shop, call)).rejects.toMatchObject(invalidToken);
  }
  expect(await run(shop, ofOther.orders())).toHaveLength(2);
});

test("a login is refreshed, and a refresh token that was used before ends it", async () => {
  await using shop = await makeShop();
  const first = await shop.login("bob");
  const second = await run(shop, shop.client.refresh(first.refreshToken));
  expect(second).toMatchObject({ userId: "user2", username: "bob", role: "user" });
  expect(await run(shop, shop.client.listOrders(second.token))).toEqual([]);
  await shop.clock.advance(11_000);
  await expect(run(shop, shop.client.refresh(first.refreshToken))).rejects.toMatchObject(invalidToken);
  await expect(run(shop, shop.client.refresh(second.refreshToken))).rejects.toMatchObject(invalidToken);
});

test("a password is changed: every login ends, and the answer is a new one", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("bob");
  using bob = await run(shop, shop.client.account(token));
  const changed = await run(shop, bob.changePassword(demoPassword, "correct horse battery"));
  await expect(run(shop, bob.profile())).rejects.toMatchObject(revoked);
  expect(await run(shop, shop.client.listOrders(changed.token))).toEqual([]);
  await expect(shop.login("bob")).rejects.toMatchObject({ message: "Invalid username or password" });
});

test("Bob is disabled while the Order Service holds his capability: its next use is refused, by whatever way", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("bob");
  const alice = await shop.login("alice");
  await run(shop, shop.client.createOrder(token, someItems));
  using held = await run(shop, shop.client.account(token));
  expect(await run(shop, shop.client.disableUser(alice.token, "user2"))).toMatchObject({ isEnabled: false });
  await expect(run(shop, shop.client.createOrder(token, someItems))).rejects.toMatchObject(revoked);
  await expect(run(shop, held.createOrder(someItems))).rejects.toMatchObject(revoked);
  await expect(shop.login("bob")).rejects.toMatchObject({ message: "Invalid username or password" });
  expect(await shop.orderStore.count()).toBe(1);
});

test("a moderator made at run time cancels Bob's order; after the role is withdrawn the same capability no longer can", async () => {
  await using shop = await makeShop();
  const bob = await shop.login("bob");
  const alice = await shop.login("alice");
  const { token } = await shop.login("charlie");
  for (const _ of [1, 2]) await run(shop, shop.client.createOrder(bob.token, someItems));
  using charlie = await run(shop, shop.client.account(token));
  await expect(run(shop, charlie.cancelOrder("order1"))).rejects.toMatchObject({ code: "permission_denied" });
  await expect(run(shop, charlie.order("order1"))).rejects.toMatchObject({ code: "not_found" });
  expect(await run(shop, shop.client.setRole(alice.token, "user3", "moderator"))).toMatchObject({ role: "moderator" });
  expect(await run(shop, charlie.order("order1"))).toMatchObject({ orderId: "order1", userId: "user2" });
  expect(await run(shop, charlie.cancelOrder("order1"))).toEqual({ orderId: "order1", status: "cancelled" });
  await run(shop, shop.client.setRole(alice.token, "user3", "user"));
  await expect(run(shop, charlie.cancelOrder("order2"))).rejects.toMatchObject({ code: "permission_denied" });
  await expect(run(shop, shop.client.getOrder(token, "order2"))).rejects.toMatchObject({ code: "not_found" });
  expect(await run(shop, shop.client.getOrder(bob.token, "order2"))).toMatchObject({
    orderId: "order2",
    items: someItems,
  });
  expect(await run(shop, charlie.orders())).toEqual([]);
});

test("users and roles are made by those who may, and by nobody else", async () => {
  await using shop = await makeShop();
  const alice = await shop.login("alice");
  const bob = await shop.login("bob");
  const dora = { username: "dora", password: "correct horse battery", email: "dora@example.com" };
  const asked = (token: string) => [
    shop.client.createUser(token, dora),
    shop.client.disableUser(token, "user3"),
    shop.client.setRole(token, "user2", "admin"),
    shop.client.listRoles(token),
    shop.client.setRolePermissions(token, "user", ["order.view"]),
  ];
  for (const call of asked(bob.token))
    await expect(run<unknown>(shop, call)).rejects.toMatchObject({ code: "permission_denied" });
  for (const call of asked("none")) await expect(run<unknown>(shop, call)).rejects.toMatchObject(invalidToken);
  expect(await run(shop, shop.client.createUser(alice.token, dora))).toMatchObject({ username: "dora", role: "user" });
  const roles = await run(shop, shop.client.listRoles(alice.token));
  expect(roles.map(({ name }) => name).sort()).toEqual(["admin", "moderator", "user"]);
  await run(shop, shop.client.setRolePermissions(alice.token, "user", ["order.view"]));
  await expect(run(shop, shop.client.createOrder(bob.token, someItems))).rejects.toMatchObject({
    code: "permission_denied",
    message: "You don't have permission to create orders",
  });
  await expect(run(shop, shop.client.setRole(alice.token, "user1", "user"))).rejects.toMatchObject({
    code: "failed_precondition",
    reason: "last_admin",
  });
});

test("an administrator's capability is had of the account, and dies with it", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("alice");
  using alice = await run(shop, shop.client.account(token));
  using administration = await run(shop, alice.administration());
  expect((await run(shop, administration.listUsers())).users).toHaveLength(3);
  const { entries } = await run(shop, administration.audit());
  expect(entries.map(({ event }) => event)).toContain("login");
  expect(await run(shop, alice.logoutEverywhere())).toEqual({ ended: 1 });
  await expect(run(shop, administration.listUsers())).rejects.toMatchObject(revoked);
});

test("after the User Service was restarted, what is held of an account is had anew for its token", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("bob");
  using bob = await run(shop, shop.client.account(token));
  await run(shop, bob.createOrder(someItems));
  await shop.restartUsers();
  // All at once, and asked for once.
  const calls = [bob.profile(), bob.createOrder(someItems), bob.sessions(), bob.editProfile({ email: "b@b.example" })];
  expect(await run(shop, Promise.all(calls))).toMatchObject([{ userId: "user2" }, { orderId: "order2" }, [{}], {}]);
  const asked = shop.links.gatewayUsers.messages.filter((message) => message.includes('["account"]'));
  expect(asked).toHaveLength(1);
  expect(await shop.orderStore.count()).toBe(2);
});

test("nothing is had anew of a login that has ended, nor for a token that has", async () => {
  await using shop = await makeShop({ tokenLifetimeMs: 60_000 });
  const { token } = await shop.login("bob");
  using loggedOut = await run(shop, shop.client.account(token));
  await run(shop, shop.client.logout(token));
  const other = await shop.login("bob");
  using expired = await run(shop, shop.client.account(other.token));
  await run(shop, expired.createOrder(someItems));
  // As long as its home is there, an account outlives its token.
  await shop.clock.advance(60_000);
  expect(await run(shop, expired.orders())).toHaveLength(1);
  await shop.restartUsers();
  for (const account of [loggedOut, expired]) {
    for (const call of [() => account.profile(), () => account.createOrder(someItems), () => account.logout()]) {
      await expect(run<unknown>(shop, call())).rejects.toMatchObject(invalidToken);
    }
  }
  expect(await shop.orderStore.count()).toBe(1);
});
