import {
  anonymous,
  contract,
  FlotillaError,
  type Implementation,
  type Introducible,
  introduce,
  introducible,
  type RpcStub,
  type RpcTarget,
} from "@flotilla/kit";
import { makeTestLink, servicePeer } from "@flotilla/kit/testing";
import { describe, expect, test } from "vitest";
import { makeShop, type Shop, someItems } from "../../tests/shop-harness.ts";
import type { AllOrdersPage, Order, OrderPage, OrderService } from "../contracts/orders.ts";
import { type User, UserContract } from "../contracts/users.ts";
import { orderServiceFor } from "./service.ts";

/** The Order Service, with users of a real User Service introduced to it as the gateway does. */
async function as<R>(
  shop: Shop,
  username: string,
  call: (user: Parameters<OrderService["listOrders"]>[0]) => PromiseLike<R>,
) {
  const { token } = await shop.login(username);
  using user = shop.usersMain.getUserByToken(token);
  using gift = introduce<User>(user, { from: shop.links.gatewayUsers, to: "orders", clock: shop.clock });
  return await shop.clock.run(gift.answer(call(gift.value)));
}

const denied = (message: string) => ({ code: "permission_denied", message });
const mayNotCancel = denied("You don't have permission to cancel orders");

test("only the gateway is served", async () => {
  await using shop = await makeShop();
  for (const peer of [anonymous, servicePeer("users"), servicePeer("orders"), servicePeer("payments")]) {
    expect(orderServiceFor(peer, shop.orders, shop.orderDeps)).toBeUndefined();
  }
  expect(orderServiceFor(servicePeer("gateway"), shop.orders, shop.orderDeps)).toBeDefined();
});

describe("createOrder", () => {
  test("answers with the order, whose total is exact, and keeps it for the user", async () => {
    await using shop = await makeShop();
    expect(await as(shop, "bob", (bob) => shop.ordersMain.createOrder(bob, someItems))).toEqual({
      orderId: "order1",
      total: 1059.97,
      status: "pending",
      items: someItems,
    });
    expect(await shop.orderStore.byId("order1")).toMatchObject({ userId: "user2", totalMinor: 105_997 });
  });

  test("is one order per key and user; another request with the key is refused", async () => {
    await using shop = await makeShop();
    const { ordersMain } = shop;
    const create = (username: string, items = someItems) =>
      as(shop, username, (user) => ordersMain.createOrder(user, items, "key-1"));
    const first = await create("bob");
    expect(await create("bob")).toEqual(first);
    expect((await create("alice")).orderId).not.toBe(first.orderId);
    await expect(create("bob", someItems.slice(1))).rejects.toMatchObject({
      code: "already_exists",
      reason: "idempotency_mismatch",
    });
    expect(await shop.orderStore.count()).toBe(2);
  });

  test("asks nobody anything about items that cannot be ordered", async () => {
    await using shop = await makeShop();
    const before = shop.links.ordersUsers.messages.length;
    const items = [{ name: "Laptop", quantity: 1, price: 0.001 }];
    const refused = as(shop, "bob", (bob) => shop.ordersMain.createOrder(bob, items));
    await expect(refused).rejects.toMatchObject({ code: "invalid_argument" });
    expect(shop.links.ordersUsers.messages).toHaveLength(before);
  });
});

test("listOrders lists the user's own orders, oldest first, whoever else has some", async () => {
  await using shop = await makeShop();
  for (const name of ["bob", "alice", "bob"]) {
    await as(shop, name, (user) => shop.ordersMain.createOrder(user, someItems));
  }
  const idsOf = async (name: string) =>
    (await as(shop, name, (user) => shop.ordersMain.listOrders(user))).map(({ orderId }) => orderId);
  expect(await idsOf("bob")).toEqual(["order1", "order3"]);
  expect(await idsOf("alice")).toEqual(["order2"]);
  expect(await idsOf("charlie")).toEqual([]);
});

test("listOrders goes back page by page, and takes none it cannot understand", async () => {
  await using shop = await makeShop();
  for (let i = 0; i < 5; i++) await as(shop, "bob", (user) => shop.ordersMain.createOrder(user, someItems));
  const pageOf = async (page: OrderPage) =>
    (await as(shop, "bob", (user) => shop.ordersMain.listOrders(user, page))).map(({ orderId }) => orderId);
  expect(await pageOf({ limit: 2 })).toEqual(["order4", "order5"]);
  expect(await pageOf({ limit: 2, before: "order4" })).toEqual(["order2", "order3"]);
  expect(await pageOf({ before: "order2" })).toEqual(["order1"]);
  expect(await pageOf({})).toHaveLength(5);
  const unheard: unknown[] = [
    { limit: 0 },
    { limit: 1_001 },
    { limit: 1.5 },
    { before: "user1" },
    { after: "order1" },
    7,
  ];
  for (const page of unheard) {
    await expect(pageOf(page as OrderPage), JSON.stringify(page)).rejects.toMatchObject({ code: "invalid_argument" });
  }
});

describe("listAllOrders", () => {
  const listedBy = (shop: Shop, name: string, page?: AllOrdersPage) =>
    as(shop, name, (user) => shop.ordersMain.listAllOrders(user, page));

  async function shopWithOrders(): Promise<Shop> {
    const shop = await makeShop();
    for (const name of ["bob", "charlie", "bob"]) {
      await as(shop, name, (user) => shop.ordersMain.createOrder(user, someItems));
    }
    return shop;
  }

  test("lists everybody's orders, or one user's, for those who may cancel any", async () => {
    await using shop = await shopWithOrders();
    const entry = { total: 1059.97, status: "pending" };
    const all = [
      { ...entry, orderId: "order1", userId: "user2" },
      { ...entry, orderId: "order2", userId: "user3" },
      { ...entry, orderId: "order3", userId: "user2" },
    ];
    expect(await listedBy(shop, "alice")).toEqual(all);
    await shop.clock.run(shop.userStore.setRole("user3", "moderator", { nowMs: 0 }));
    expect(await listedBy(shop, "charlie")).toEqual(all);
    expect(await listedBy(shop, "alice", { userId: "user2", limit: 1 })).toEqual([all[2]]);
    expect(await listedBy(shop, "alice", { userId: "user2", before: "order3" })).toEqual([all[0]]);
    expect(await listedBy(shop, "alice", { userId: "user9" })).toEqual([]);
  });

  test("refuses a plain user before it looks, for whomever they ask, so that nothing is learnt", async () => {
    await using shop = await shopWithOrders();
    for (const page of [undefined, { userId: "user3" }, { userId: "user2" }, { userId: "user9" }, { before: "x" }]) {
      const refusal = denied("You don't have permission to view others' orders");
      await expect(listedBy(shop, "bob", page), JSON.stringify(page)).rejects.toMatchObject(refusal);
    }
    await shop.clock.run(shop.userStore.setRolePermissions("user", ["order.cancel"], { nowMs: 0 }));
    await expect(listedBy(shop, "bob")).rejects.toMatchObject(denied("You don't have permission to view orders"));
  });

  test("shows nothing that the trail does not have", async () => {
    await using shop = await shopWithOrders();
    const full = new FlotillaError("unavailable", "The disk is full");
    const store = { ...shop.orderStore, noteListing: () => Promise.reject(full) };
    Object.assign(shop.orderDeps, { store });
    await expect(listedBy(shop, "alice")).rejects.toMatchObject({ code: "unavailable", message: full.message });
  });
});

describe("viewOrder", () => {
  const absent = { code: "not_found", message: "Order not found" };

  test("shows users their own orders, as they are now", async () => {
    await using shop = await makeShop();
    const created = await as(shop, "bob", (bob) => shop.ordersMain.createOrder(bob, someItems));
    const view = () => as(shop, "bob", (bob) => shop.ordersMain.viewOrder("order1", bob));
    expect(await view()).toEqual({ ...created, userId: "user2" });
    await as(shop, "alice", (alice) => shop.ordersMain.cancelOrder("order1", alice));
    expect(await view()).toEqual({ ...created, userId: "user2", status: "cancelled" });
  });

  test("answers of another's order what it answers of none, except to who may cancel it", async () => {
    await using shop = await makeShop();
    await as(shop, "bob", (bob) => shop.ordersMain.createOrder(bob, someItems));
    for (const id of ["order1", "order2", "nonsense"]) {
      const refused = as(shop, "charlie", (charlie) => shop.ordersMain.viewOrder(id, charlie));
      await expect(refused).rejects.toMatchObject(absent);
    }
    const view = (id: string) => as(shop, "alice", (alice) => shop.ordersMain.viewOrder(id, alice));
    expect(await view("order1")).toMatchObject({ userId: "user2", items: someItems });
    await expect(view("order2")).rejects.toMatchObject(absent);
  });

  test("needs the permission to view, of who may cancel too", async () => {
    await using shop = await makeShop();
    await as(shop, "bob", (bob) => shop.ordersMain.createOrder(bob, someItems));
    for (const permissions of [[], ["order.cancel"]] as const) {
      await shop.clock.run(shop.userStore.setRolePermissions("user", permissions, { nowMs: 0 }));
      const refused = as(shop, "bob", (bob) => shop.ordersMain.viewOrder("order1", bob));
      await expect(refused).rejects.toMatchObject(denied("You don't have permission to view orders"));
    }
  });
});

describe("cancelOrder", () => {
  test("lets an admin cancel anybody's order, and cancelling twice is no error", async () => {
    await using shop = await makeShop();
    await as(shop, "bob", (bob) => shop.ordersMain.createOrder(bob, someItems));
    for (const _ of [1, 2]) {
      const answer = await as(shop, "alice", (alice) => shop.ordersMain.cancelOrder("order1", alice));
      expect(answer).toEqual({ orderId: "order1", status: "cancelled" });
    }
  });

  test("looks at the permission first: a user does not learn which orders there are", async () => {
    await using shop = await makeShop();
    await as(shop, "bob", (bob) => shop.ordersMain.createOrder(bob, someItems));
    for (const id of ["order1", "order2", "nonsense"]) {
      await expect(as(shop, "bob", (bob) => shop.ordersMain.cancelOrder(id, bob))).rejects.toMatchObject(mayNotCancel);
    }
    await expect(as(shop, "alice", (alice) => shop.ordersMain.cancelOrder("order2", alice))).rejects.toMatchObject({
      code: "not_found",
      message: "Order not found",
    });
    expect(await shop.orderStore.byId("order1")).toMatchObject({ status: "pending" });
  });
});

describe("the Order capability", () => {
  test("tells id, owner and total, and the status as it is now", async () => {
    await using shop = await makeShop();
    await as(shop, "bob", (bob) => shop.ordersMain.createOrder(bob, someItems));
    using order = shop.ordersMain.getOrder("order1");
    const told = () => Promise.all([order.getId(), order.getUserId(), order.getTotal(), order.getStatus()]);
    expect(await shop.clock.run(told())).toEqual(["order1", "user2", 1059.97, "pending"]);
    await as(shop, "alice", (alice) => shop.ordersMain.cancelOrder("order1", alice));
    expect(await shop.clock.run(told())).toEqual(["order1", "user2", 1059.97, "cancelled"]);
  });

  test("is cancelled with a user's permission, which holding it does not replace", async () => {
    await using shop = await makeShop();
    await as(shop, "bob", (bob) => shop.ordersMain.createOrder(bob, someItems));
    using order = shop.ordersMain.getOrder("order1") as unknown as RpcStub<Order>;
    await expect(as(shop, "bob", (bob) => order.cancel(bob))).rejects.toMatchObject(mayNotCancel);
    expect(await as(shop, "alice", (alice) => order.cancel(alice))).toEqual({ orderId: "order1", status: "cancelled" });
  });

  test("is of an order that exists", async () => {
    await using shop = await makeShop();
    await expect(shop.clock.run(shop.ordersMain.getOrder("order1"))).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("which permission a method needs", () => {
  interface Desk extends RpcTarget {
    user(): User & Introducible;
  }
  const DeskContract = contract<Desk>("Desk", { user: { params: [], returns: introducible(UserContract) } });

  const messages = {
    "order.create": "You don't have permission to create orders",
    "order.view": "You don't have permission to view orders",
    "order.cancel": "You don't have permission to cancel orders",
  } as const;
  type Permission = keyof typeof messages;
  const calls: Record<Permission, (orders: RpcStub<OrderService>, user: never) => PromiseLike<unknown>> = {
    "order.create": (orders, user) => orders.createOrder(user, someItems),
    "order.view": (orders, user) => orders.listOrders(user),
    "order.cancel": (orders, user) => orders.cancelOrder("order1", user),
  };
  const permissions = Object.keys(messages) as Permission[];

  test("is one each, and no other", async () => {
    await using shop = await makeShop();
    await as(shop, "bob", (bob) => shop.ordersMain.createOrder(bob, someItems));
    for (const granted of permissions) {
      using desk = userWith(shop, granted);
      for (const needed of permissions) {
        const call = shop.clock.run(desk.gift.answer(calls[needed](shop.ordersMain, desk.gift.value as never)));
        if (needed === granted) await call;
        else await expect(call).rejects.toMatchObject(denied(messages[needed]));
      }
    }
  });

  /** A user of the User Service's home who has this one permission, and is introduced to orders. */
  function userWith(shop: Shop, granted: Permission) {
    const user: Implementation<User> = {
      getId: () => "user9",
      getUsername: () => "dora",
      getEmail: () => "dora@example.com",
      getRole: () => "user",
      hasPermission: (permission) => permission === granted,
    };
    const gatewayPeer = servicePeer("gateway");
    const main = shop.users.main(DeskContract, { user: () => user }, gatewayPeer);
    const link = makeTestLink({ clock: shop.clock, from: gatewayPeer, to: { ...shop.users, main } });
    using capability = (link.main as unknown as RpcStub<Desk>).user();
    const gift = introduce<User>(capability, { from: link, to: "orders", clock: shop.clock });
    return { gift, [Symbol.dispose]: () => gift[Symbol.dispose]() };
  }
});
