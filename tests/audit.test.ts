import { FlotillaError } from "@flotilla/kit";
import { describe, expect, test } from "vitest";
import type { AuditPage, AuditQuery } from "../shop/contracts/audit.ts";
import { makeShop, type Shop, someItems } from "./shop-harness.ts";

const minuteMs = 60_000;

/** What an administrator reads of both trails, oldest first: `event actor subject detail count`. */
async function trails(shop: Shop, token: string, query?: AuditQuery): Promise<{ orders: string[]; users: string[] }> {
  using account = shop.client.account(token);
  using office = account.administration();
  const [orders, users] = await shop.clock.run(Promise.all([account.orderAudit(query), office.audit(query)]));
  return { orders: spelled(orders), users: spelled(users) };
}

function spelled({ entries }: AuditPage): string[] {
  const words = entries.map((it) => [it.event, it.actorId ?? "-", it.subjectId ?? "-", it.detail ?? "-", it.count]);
  return words.map((line) => line.join(" ")).reverse();
}

test("the trails tell who was introduced, cancelled, looked at an order and was refused, over the gateway", async () => {
  await using shop = await makeShop();
  const { client, clock } = shop;
  const bob = await shop.login("bob");
  const alice = await shop.login("alice");
  const { orderId } = await clock.run(client.createOrder(bob.token, someItems));
  for (let n = 0; n < 3; n++) {
    await expect(clock.run(client.cancelOrder(bob.token, orderId))).rejects.toMatchObject({
      code: "permission_denied",
    });
  }
  await expect(clock.run(client.listRoles(bob.token))).rejects.toMatchObject({ code: "permission_denied" });
  // One's own leaves no trace; somebody else's does.
  await clock.run(client.getOrder(bob.token, orderId));
  await clock.run(client.getOrder(alice.token, orderId));
  await clock.run(client.listAllOrders(alice.token));
  await clock.run(client.listAllOrders(alice.token, { userId: "user2" }));
  await clock.run(client.listAllOrders(alice.token, { userId: "user1" }));
  await clock.run(client.cancelOrder(alice.token, orderId));
  await clock.run(client.cancelOrder(alice.token, orderId));
  await clock.advance(minuteMs);

  const { orders, users } = await trails(shop, alice.token);
  expect(orders.sort()).toEqual([
    "order_cancelled user1 user2 order1 1",
    "order_viewed user1 user2 order1 1",
    "orders_listed user1 - - 1",
    "orders_listed user1 user2 - 1",
    "permission_refused - user2 order.cancel 3",
  ]);
  expect(users.filter((line) => line.startsWith("introduced"))).toEqual([
    "introduced user2 user2 gateway to orders 1",
    "introduced user1 user1 gateway to orders 1",
    // For the account that is reading now.
    "introduced user1 user1 gateway to orders 1",
  ]);
  expect(users).toContain("permission_refused - user2 system.admin 1");
  expect((await trails(shop, alice.token, { subjectId: "user2", limit: 1 })).orders).toHaveLength(1);
});

test("the trail of orders is for those who have system.admin, and asking for it without leaves one", async () => {
  await using shop = await makeShop();
  const bob = await shop.login("bob");
  const alice = await shop.login("alice");
  {
    using account = shop.client.account(bob.token);
    await expect(shop.clock.run(account.orderAudit())).rejects.toMatchObject({
      code: "permission_denied",
      message: "You don't have permission to read the audit trail",
    });
  }
  for (const query of [{ limit: 0 }, { limit: 101 }, { before: 0 }, { subject: "user2" }]) {
    using account = shop.client.account(alice.token);
    const asked = shop.clock.run(account.orderAudit(query as AuditQuery));
    await expect(asked, JSON.stringify(query)).rejects.toMatchObject({ code: "invalid_argument" });
  }
  await shop.clock.advance(minuteMs);
  expect((await trails(shop, alice.token)).orders).toEqual(["permission_refused - user2 system.admin 1"]);
});

test("a list of others' orders that is refused is in the trail once, however often it was asked for; one's own is not", async () => {
  await using shop = await makeShop();
  const { client, clock } = shop;
  const bob = await shop.login("bob");
  const alice = await shop.login("alice");
  await clock.run(client.createOrder(bob.token, someItems));
  expect(await clock.run(client.listOrders(bob.token))).toHaveLength(1);
  for (const page of [undefined, { userId: "user1" }, { userId: "user2" }]) {
    const refused = clock.run(client.listAllOrders(bob.token, page));
    await expect(refused, JSON.stringify(page)).rejects.toMatchObject({ code: "permission_denied" });
  }
  await clock.advance(minuteMs);
  expect((await trails(shop, alice.token)).orders).toEqual(["permission_refused - user2 order.cancel 3"]);
});

describe("what the trail cannot keep does not happen", () => {
  const full = new FlotillaError("unavailable", "The store cannot be used now", { reason: "store" });

  test("a user is not introduced, and nothing is ordered in their name", async () => {
    await using shop = await makeShop();
    const bob = await shop.login("bob");
    shop.userStore.noteIntroduction = () => Promise.reject(full);
    const order = shop.client.createOrder(bob.token, someItems);
    await expect(shop.clock.run(order)).rejects.toMatchObject({ code: "unavailable", reason: "store" });
    expect(await shop.orderStore.count()).toBe(0);
  });

  test("others' orders are not listed, neither by the gateway nor by an account", async () => {
    await using shop = await makeShop();
    const alice = await shop.login("alice");
    using account = shop.client.account(alice.token);
    shop.orderStore.noteListing = () => Promise.reject(full);
    const { client } = shop;
    const lists = [
      () => client.listAllOrders(alice.token),
      () => client.listAllOrders(alice.token, { userId: "user2" }),
    ];
    for (const list of [...lists, () => account.allOrders()]) {
      await expect(shop.clock.run(list())).rejects.toMatchObject({ code: "unavailable", reason: "store" });
    }
    expect(await shop.clock.run(client.listAllOrders(alice.token, { userId: "user1" }))).toEqual([]);
  });

  test("another's order is not shown, neither to staff nor to the gateway", async () => {
    await using shop = await makeShop();
    const bob = await shop.login("bob");
    const alice = await shop.login("alice");
    const { orderId } = await shop.clock.run(shop.client.createOrder(bob.token, someItems));
    shop.orderStore.noteView = () => Promise.reject(full);
    const looks: PromiseLike<unknown>[] = [
      shop.client.getOrder(alice.token, orderId),
      shop.ordersMain.getOrder(orderId),
    ];
    for (const look of looks) {
      await expect(shop.clock.run(look)).rejects.toMatchObject({ code: "unavailable", reason: "store" });
    }
    expect(await shop.clock.run(shop.client.getOrder(bob.token, orderId))).toMatchObject({ userId: "user2" });
  });
});

test("a look at an order in nobody's name, which is the gateway's own, leaves an entry too", async () => {
  await using shop = await makeShop();
  const bob = await shop.login("bob");
  const alice = await shop.login("alice");
  const { orderId } = await shop.clock.run(shop.client.createOrder(bob.token, someItems));
  using order = shop.ordersMain.getOrder(orderId);
  expect(await shop.clock.run(order.getUserId())).toBe("user2");
  expect((await trails(shop, alice.token)).orders).toEqual(["order_viewed - user2 order1 1"]);
});
