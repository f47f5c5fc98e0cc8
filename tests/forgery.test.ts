import {
  contract,
  introduce,
  type Introducible,
  introducible,
  type Introduction,
  RpcPromise,
  type RpcStub,
  RpcTarget,
} from "@flotilla/kit";
import { makeTestLink, servicePeer } from "@flotilla/kit/testing";
import { beforeEach, describe, expect, test } from "vitest";
import type { OrderService } from "../shop/contracts/orders.ts";
import { type User, UserContract } from "../shop/contracts/users.ts";
import { userServiceFor } from "../shop/users/service.ts";
import { asIntroduction, makeShop, type Shop, someItems } from "./shop-harness.ts";

let callsOnForgeries = 0;

/** Answers as an administrator would, and counts who listens. */
class Forgery extends RpcTarget {
  getId(): string {
    callsOnForgeries += 1;
    return "user1";
  }
  getUsername(): string {
    callsOnForgeries += 1;
    return "alice";
  }
  getEmail(): string {
    callsOnForgeries += 1;
    return "alice@example.com";
  }
  getRole(): string {
    callsOnForgeries += 1;
    return "admin";
  }
  hasPermission(): boolean {
    callsOnForgeries += 1;
    return true;
  }
}

beforeEach(() => {
  callsOnForgeries = 0;
});

/** Every method of the Order Service that takes a user. `order1` is bob's. */
type Call = (orders: RpcStub<OrderService>, user: Introduction<User>) => PromiseLike<unknown>;
const methods: readonly [name: string, call: Call][] = [
  ["createOrder", (orders, user) => orders.createOrder(user, someItems)],
  ["listOrders", (orders, user) => orders.listOrders(user)],
  ["viewOrder", (orders, user) => orders.viewOrder("order1", user)],
  ["cancelOrder", (orders, user) => orders.cancelOrder("order1", user)],
  [
    "Order.cancel",
    async (orders, user) => {
      using order = orders.getOrder("order1");
      return await order.cancel(user);
    },
  ],
];

/** A shop in which bob has ordered; the attacker is at the gateway, the only one whom the Order Service serves. */
async function shopWithAnOrder(): Promise<Shop & { token: string }> {
  const shop = await makeShop();
  const { token } = await shop.login("bob");
  await shop.clock.run(shop.client.createOrder(token, someItems));
  await shop.clock.advance(10);
  return Object.assign(shop, { token });
}

/** `user` is refused by every method, nothing of it was called, and nothing was done. */
async function expectRefused(shop: Shop, user: unknown): Promise<void> {
  const heardBefore = shop.links.gatewayOrders.messages.length;
  for (const [name, call] of methods) {
    const refused = shop.clock.run(call(shop.ordersMain, asIntroduction(user)));
    await expect(refused, name).rejects.toMatchObject({ code: "permission_denied" });
  }
  await shop.clock.advance(10);
  const calledBack = shop.links.gatewayOrders.messages
    .slice(heardBefore)
    .filter((message) => /^<\["(push|call)"/.test(message));
  expect(calledBack).toEqual([]);
  expect(callsOnForgeries).toBe(0);
  expect(await shop.orderStore.count()).toBe(1);
  expect(await shop.orderStore.byId("order1")).toMatchObject({ status: "pending" });
}

const invented = (overrides: object = {}) => ({
  introduction: "A".repeat(24),
  home: "users",
  instance: "B".repeat(16),
  ...overrides,
});

describe("in the place of a user the Order Service refuses", () => {
  test("an object that looks like one", async () => {
    await using shop = await shopWithAnOrder();
    await expectRefused(shop, { userId: "user1", role: "admin", permissions: ["order.create", "order.cancel"] });
    await expectRefused(shop, { getId: () => "user1", hasPermission: () => true });
    for (const value of ["user1", shop.token, 1, null, true, [], {}]) await expectRefused(shop, value);
  });

  test("a function, and a target with a User's methods", async () => {
    await using shop = await shopWithAnOrder();
    const callable = () => {
      callsOnForgeries += 1;
      return true;
    };
    await expectRefused(shop, callable);
    await expectRefused(shop, new Forgery());
  });

  test("either of them nested in what is otherwise an introduction", async () => {
    await using shop = await shopWithAnOrder();
    const { instance } = shop.users;
    await expectRefused(shop, [new Forgery()]);
    await expectRefused(shop, { user: new Forgery() });
    await expectRefused(shop, invented({ instance, user: new Forgery() }));
    await expectRefused(shop, { introduction: new Forgery(), home: "users", instance });
    await expectRefused(shop, invented({ instance: () => instance }));
  });

  test("a genuine User of the User Service that the gateway relays by hand", async () => {
    await using shop = await shopWithAnOrder();
    const { token } = await shop.login("alice");
    using alice = shop.usersMain.getUserByToken(token);
    using live = await shop.clock.run(alice);
    await shop.clock.advance(10);
    const before = shop.links.gatewayUsers.messages.length;
    await expectRefused(shop, live);
    expect(shop.links.gatewayUsers.messages.slice(before)).toEqual([]);
  });

  test("an introduction that was invented, at this home, at another, or at an earlier run of this one", async () => {
    await using shop = await shopWithAnOrder();
    await expectRefused(shop, invented({ instance: shop.users.instance }));
    await expectRefused(shop, invented({ home: "gateway", instance: servicePeer("gateway").instance }));
    const refused = shop.clock.run(shop.ordersMain.listOrders(asIntroduction(invented())));
    // The gateway may hold one in good faith after a restart: it is told apart, so that it can introduce anew.
    await expect(refused).rejects.toMatchObject({ code: "unavailable", reason: "home_restarted" });
  });

  test("an introduction that has expired, and one that was ended", async () => {
    await using shop = await shopWithAnOrder();
    const { token } = await shop.login("alice");
    using alice = shop.usersMain.getUserByToken(token);
    const from = { ...shop.links.gatewayUsers };
    using brief = introduce<User>(alice, { from, to: "orders", lifetimeMs: 1_000, clock: shop.clock });
    using ended = introduce<User>(alice, { from, to: "orders", clock: shop.clock });
    for (const gift of [brief, ended]) {
      await shop.clock.run(gift.answer(shop.ordersMain.listOrders(gift.value)));
    }
    await shop.clock.advance(1_000);
    ended[Symbol.dispose]();
    await shop.clock.advance(10);
    await expectRefused(shop, brief.value);
    await expectRefused(shop, ended.value);
  });

  test("an introduction that was made for another service", async () => {
    await using shop = await shopWithAnOrder();
    const { token } = await shop.login("alice");
    using alice = shop.usersMain.getUserByToken(token);
    using gift = introduce<User>(alice, { from: shop.links.gatewayUsers, to: "payments", clock: shop.clock });
    await shop.clock.advance(10);
    await expectRefused(shop, gift.value);
  });

  test("the gateway's own object, for which the User Service has no way in", async () => {
    await using shop = await shopWithAnOrder();
    using bob = shop.usersMain.getUserByToken(shop.token);
    const nonce = "A".repeat(24);
    type Loose = RpcStub<{ deposit(...args: unknown[]): unknown } & RpcTarget>;
    const main = shop.usersMain as unknown as Loose;
    const user = bob as unknown as Loose;
    await expect(shop.clock.run(main.deposit(nonce, "orders", 1_000, new Forgery()))).rejects.toMatchObject({
      code: "unimplemented",
    });
    await expect(shop.clock.run(user.deposit(nonce, "orders", 1_000, new Forgery()))).rejects.toMatchObject({
      code: "invalid_argument",
    });
    await expect(shop.clock.run(user.deposit(new Forgery(), "orders", 1_000))).rejects.toMatchObject({
      code: "invalid_argument",
    });
    await expectRefused(shop, invented({ introduction: nonce, instance: shop.users.instance }));
  });
});

describe("an introduction that is stolen", () => {
  test("is worth nothing to another peer of the User Service, whoever it says gave it", async () => {
    await using shop = await shopWithAnOrder();
    using bob = shop.usersMain.getUserByToken(shop.token);
    using gift = introduce<User>(bob, { from: shop.links.gatewayUsers, to: "orders", clock: shop.clock });
    await shop.clock.advance(10);
    const payments = servicePeer("payments");
    const link = makeTestLink({
      clock: shop.clock,
      from: payments,
      to: { name: "users", instance: shop.users.instance, main: userServiceFor(payments, shop.users, shop.userDeps)! },
    });
    type Withdrawing = RpcStub<{ withdraw(nonce: string, gifter: string): User } & RpcTarget>;
    for (const gifter of ["gateway", "payments", "orders"]) {
      using stolen = (link.main as unknown as Withdrawing).withdraw(gift.value.introduction, gifter);
      await expect(shop.clock.run(stolen.getId())).rejects.toMatchObject({ code: "permission_denied" });
    }
  });

  test("is worth nothing at the Order Service to another peer: it is not served", async () => {
    await using shop = await shopWithAnOrder();
    for (const name of ["users", "payments", "orders"]) {
      expect(() => shop.linkToOrders(servicePeer(name))).toThrow("serves nothing");
    }
  });

  test("is worth nothing when it is sent through its rightful recipient by somebody who did not deposit it", async () => {
    await using shop = await shopWithAnOrder();
    // Another service of the house introduced its own user to orders, as it may; the gateway got hold of the words.
    interface Desk extends RpcTarget {
      boss(): User & Introducible;
    }
    const DeskContract = contract<Desk>("Desk", { boss: { params: [], returns: introducible(UserContract) } });
    const main = shop.users.main(DeskContract, { boss: () => new Forgery() }, servicePeer("backoffice"));
    const { instance } = shop.users;
    const desk = makeTestLink({
      clock: shop.clock,
      from: servicePeer("backoffice"),
      to: { name: "users", instance, main },
    });
    using boss = (desk.main as unknown as RpcStub<Desk>).boss();
    using gift = introduce<User>(boss, { from: desk, to: "orders", clock: shop.clock });
    await shop.clock.advance(10);
    expect(shop.users.counts().deposits).toBe(2);
    await expectRefused(shop, gift.value);
    gift[Symbol.dispose]();
    await shop.clock.advance(10);
  });
});

test("a promise of the sender's in the place of a user is not even sent", async () => {
  await using shop = await shopWithAnOrder();
  for (const [name, call] of methods.slice(0, 3)) {
    const link = shop.linkToOrders(servicePeer("gateway"));
    const { promise } = Promise.withResolvers<RpcTarget>();
    const user = asIntroduction(new RpcPromise(promise));
    const refused = shop.clock.run(call(link.main as unknown as RpcStub<OrderService>, user));
    await expect(refused, name).rejects.toMatchObject({ code: "unimplemented" });
    expect(link.messages).toEqual([]);
    link.cut();
  }
  expect(await shop.orderStore.count()).toBe(1);
});
