import type { RpcStub, RpcTarget } from "@flotilla/kit";
import { expect, test } from "vitest";
import { quietStatus } from "../../tests/quiet-status.ts";
import { clientOf, demoPassword, makeShop, someItems } from "../../tests/shop-harness.ts";

test("login answers as the specification says, and getUserProfile with the rest", async () => {
  await using shop = await makeShop();
  const client = clientOf(shop);
  const login = await client.login("bob", demoPassword);
  expect(login).toMatchObject({ token: expect.any(String), userId: "user2", username: "bob", role: "user" });
  expect(await client.getUserProfile(login.token)).toEqual({
    userId: "user2",
    username: "bob",
    email: "bob@example.com",
    role: "user",
  });
});

test("the users are listed for anybody with a token, and for nobody without", async () => {
  await using shop = await makeShop();
  const client = clientOf(shop);
  const { token } = await client.login("bob", demoPassword);
  expect(await client.listUsers(token)).toHaveLength(3);
  await expect(client.listUsers("none")).rejects.toMatchObject({ message: "Invalid or expired token" });
});

test("an order is placed, listed, and cancelled by those who may", async () => {
  await using shop = await makeShop();
  const client = clientOf(shop);
  const bob = await client.login("bob", demoPassword);
  const alice = await client.login("alice", demoPassword);
  const created = { orderId: "order1", total: 1059.97, status: "pending", items: someItems };
  expect(await client.createOrder(bob.token, someItems)).toEqual(created);
  await expect(client.cancelOrder(bob.token, "order1")).rejects.toMatchObject({ code: "permission_denied" });
  expect(await client.cancelOrder(alice.token, "order1")).toEqual({ orderId: "order1", status: "cancelled" });
  expect(await client.listOrders(bob.token)).toEqual([{ orderId: "order1", total: 1059.97, status: "cancelled" }]);
});

test("orders are listed page by page, with the token and through the account", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("bob");
  for (let i = 0; i < 3; i++) await shop.clock.run(shop.client.createOrder(token, someItems));
  using account = await shop.clock.run(shop.client.account(token));
  const page = { limit: 1, before: "order3" };
  for (const listed of [shop.client.listOrders(token, page), account.orders(page)]) {
    expect(await shop.clock.run<unknown>(listed)).toMatchObject([{ orderId: "order2" }]);
  }
});

test("status names the User Service when that does not answer, long before the call's own deadline", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("alice");
  const { useLogin } = shop.userStore;
  const hangs = Promise.withResolvers<void>();
  Object.assign(shop.userStore, {
    useLogin: (...args: Parameters<typeof useLogin>) => hangs.promise.then(() => useLogin(...args)),
  });
  const startedMs = shop.clock.monotonicMs();
  const asked = shop.clock.run(shop.client.status(token));
  await expect(asked).rejects.toMatchObject({
    ...{ code: "unavailable", reason: "users_silent", retryable: false },
    message: expect.stringMatching(/^users has not answered for 2 s/),
  });
  expect(shop.clock.monotonicMs() - startedMs).toBeLessThan(2_100);
  hangs.resolve();
  await shop.clock.settle();
});

test("staff list everybody's orders with the token and through the account, and nobody else does", async () => {
  await using shop = await makeShop();
  const { client, clock } = shop;
  const bob = await shop.login("bob");
  const alice = await shop.login("alice");
  for (const { token } of [bob, alice]) await clock.run(client.createOrder(token, someItems));
  for (const { token, isStaff } of [
    { ...alice, isStaff: true },
    { ...bob, isStaff: false },
  ]) {
    using account = await clock.run(client.account(token));
    for (const page of [undefined, { userId: "user1" }, { userId: "user2", limit: 1 }, { userId: "user9" }]) {
      for (const ask of [() => client.listAllOrders(token, page), () => account.allOrders(page)]) {
        const asked = clock.run<unknown>(ask());
        if (!isStaff) await expect(asked).rejects.toMatchObject({ code: "permission_denied" });
        else if (page === undefined) expect(await asked).toMatchObject([{ userId: "user2" }, { userId: "user1" }]);
        else expect(await asked).toHaveLength(page.userId === "user9" ? 0 : 1);
      }
    }
  }
});

test("an account is found by its name, by those who are logged in", async () => {
  await using shop = await makeShop();
  const { client, clock } = shop;
  const { token } = await shop.login("bob");
  const charlie = { id: "user3", username: "charlie", role: "user" };
  expect(await clock.run(client.findUser(token, "Charlie"))).toEqual(charlie);
  await expect(clock.run(client.findUser(token, "nobody"))).rejects.toMatchObject({ code: "not_found" });
  for (const name of ["charlie", "nobody"]) {
    await expect(clock.run(client.findUser("none", name))).rejects.toMatchObject({ code: "unauthenticated" });
  }
});

test("an order without a key gets one from the gateway, another each time, so that two calls are two orders", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("bob");
  for (const _ of [1, 2]) await shop.clock.run(shop.client.createOrder(token, someItems));
  const keys = shop.links.gatewayOrders.messages.flatMap((message) =>
    message.includes("createOrder")
      ? [(JSON.parse(message.slice(1)) as [string, [string, number, string[], unknown[]]])[1][3][2]]
      : [],
  );
  expect(keys).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), expect.stringMatching(/^[0-9a-f-]{36}$/)]);
  expect(new Set(keys).size).toBe(2);
  expect(await shop.orderStore.count()).toBe(2);
});

test("the state of the system is for administrators, as the user says, and for nobody else", async () => {
  await using shop = await makeShop();
  const [alice, bob] = [await shop.login("alice"), await shop.login("bob")];
  const ask = (token: string) => shop.clock.run(shop.client.status(token));
  expect(await ask(alice.token)).toEqual(quietStatus);
  await expect(ask(bob.token)).rejects.toMatchObject({ code: "permission_denied" });
  await expect(ask("none")).rejects.toMatchObject({ code: "unauthenticated" });
});

test("nothing but the six methods is there, and no stub passes where data belongs", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("bob");
  const loose = shop.client as unknown as RpcStub<RpcTarget & Record<string, (...args: unknown[]) => string>>;
  for (const method of ["getUserByToken", "getUser", "authenticate", "withdraw", "cancelDeposit", "introductions"]) {
    await expect(shop.clock.run(loose[method]!(token)), method).rejects.toMatchObject({ code: "unimplemented" });
  }
  const callable = () => "bob";
  await expect(shop.clock.run(loose.login!(callable, demoPassword))).rejects.toMatchObject({
    code: "invalid_argument",
    message: expect.stringContaining("username"),
  });
  await expect(shop.clock.run(loose.listOrders!(token, "user1"))).rejects.toMatchObject({ code: "invalid_argument" });
});
