import { describe, expect, test } from "vitest";
import { makeShop, type Shop, someItems } from "./shop-harness.ts";

/** One way, of each link, the client's included. */
const delayMs = 10;

/** Of each link what was said in the meantime, without arguments. */
async function messagesOf(shop: Shop, run: () => Promise<unknown>): Promise<Record<string, string[]>> {
  // Earlier calls are released by then.
  await shop.clock.advance(100);
  const before = Object.entries(shop.links).map(([name, link]) => [name, link.messages.length] as const);
  await run();
  // The releases of what was used travel after the answer.
  await shop.clock.advance(100);
  const links = new Map(Object.entries(shop.links));
  return Object.fromEntries(before.map(([name, from]) => [name, links.get(name)!.messages.slice(from).map(outline)]));
}

/** `>["push",["pipeline",2,["deposit"],[...]]]` is `> push 2.deposit`, `<["resolve",3,...]` is `< resolve 3`. */
function outline(message: string): string {
  const [operation, subject] = JSON.parse(message.slice(1)) as [string, unknown];
  const isCall = operation === "push" || operation === "call";
  const [, target, path] = isCall ? (subject as [string, number, string[]]) : [];
  return `${message[0]} ${operation} ${isCall ? `${target}.${path}` : subject}`;
}

async function elapsedMs(shop: Shop, run: () => Promise<unknown>): Promise<number> {
  const startMs = shop.clock.monotonicMs();
  await run();
  return shop.clock.monotonicMs() - startMs;
}

describe("the first order of a login, with 10 ms per link one way", () => {
  test("takes 4 hops from the gateway's call to its reply", async () => {
    await using shop = await makeShop({ delayMs });
    const { token } = await shop.login("bob");
    const tookMs = await elapsedMs(shop, () => shop.clock.run(shop.gateway.createOrder(token, someItems)));
    // gateway to orders, orders to users, and back: the deposit travels beside them. The bound asked for is 45.
    expect(tookMs).toBe(40);
  });

  test("takes 6 hops seen from an outside client", async () => {
    await using shop = await makeShop({ delayMs });
    const { token } = await shop.login("bob");
    const tookMs = await elapsedMs(shop, () => shop.clock.run(shop.client.createOrder(token, someItems)));
    // The bound asked for is 65.
    expect(tookMs).toBe(60);
  });

  test("needs 15 messages between the services, none of which waits for another's answer but the order itself", async () => {
    await using shop = await makeShop({ delayMs });
    const { token } = await shop.login("bob");
    // The first of all orders asks the User Service for leases too.
    const charlie = await shop.login("charlie");
    await shop.clock.run(shop.client.createOrder(charlie.token, someItems));
    const said = await messagesOf(shop, () => shop.clock.run(shop.client.createOrder(token, someItems)));
    expect(said).toEqual({
      // The user of the token, and its deposit for orders, pipelined on it. The user itself is not held: the deposit is.
      gatewayUsers: ["> push 0.getUserByToken", "> call 5.deposit", "> release 5", "< resolve 6", "> release 6"],
      // One call, which carries the introduction as data.
      gatewayOrders: ["> call 0.createOrder", "< resolve 2", "> release 2"],
      // The withdrawal is not waited for: both questions are pipelined on it. What it yields is kept for further orders.
      ordersUsers: [
        "> call 0.withdraw",
        "> call 5.getId",
        "> call 5.askLeased",
        "< resolve 5",
        "< resolve 6",
        "< resolve 7",
        "> release 5,6,7",
      ],
      client: ["> call 0.createOrder", "< resolve 4", "> release 4"],
    });
  });
});

describe("with a reused introduction", () => {
  test("the link between gateway and users carries nothing", async () => {
    await using shop = await makeShop({ delayMs });
    const { token } = await shop.login("bob");
    await shop.clock.run(shop.client.createOrder(token, someItems));
    await shop.clock.advance(100);
    const said = await messagesOf(shop, async () => {
      await shop.clock.run(shop.client.createOrder(token, someItems));
      await shop.clock.run(shop.client.listOrders(token));
      await shop.clock.run(shop.client.cancelOrder(token, "order1").catch(() => {}));
    });
    expect(said.gatewayUsers).toEqual([]);
    expect(said.ordersUsers?.filter((line) => line.includes("call"))).toEqual([
      "> call -2.askLeased",
      "> call -2.askLeased",
      "> call -2.askLeased",
    ]);
    expect(shop.introductions.size).toBe(1);
    expect(shop.users.counts()).toEqual({ deposits: 1, parked: 0 });
  });

  test("an order is one question and one call when it asks anew: 6 messages between the services", async () => {
    await using shop = await makeShop({ delayMs });
    const { token } = await shop.login("bob");
    await shop.clock.run(shop.client.createOrder(token, someItems));
    await shop.clock.advance(100);
    const said = await messagesOf(shop, () => shop.clock.run(shop.client.createOrder(token, someItems)));
    expect(said).toMatchObject({
      gatewayUsers: [],
      gatewayOrders: ["> call 0.createOrder", "< resolve 2", "> release 2"],
      ordersUsers: ["> call -2.askLeased", "< resolve 5", "> release 5"],
    });
  });

  test("an order while the answer counts is one call: 3 messages and 2 hops, and the first that asks takes 4", async () => {
    await using shop = await makeShop({ delayMs });
    const { token } = await shop.login("bob");
    const order = () => elapsedMs(shop, () => shop.clock.run(shop.gateway.createOrder(token, someItems)));
    await order();
    expect(await order()).toBe(40);
    expect(await order()).toBe(20);
    const said = await messagesOf(shop, () => shop.clock.run(shop.client.createOrder(token, someItems)));
    expect(said).toMatchObject({
      gatewayUsers: [],
      gatewayOrders: ["> call 0.createOrder", "< resolve 4", "> release 4"],
      ordersUsers: [],
    });
  });
});

test("with a bad token the client hears it after 4 hops, from the User Service, and orders hears it is off", async () => {
  await using shop = await makeShop({ delayMs });
  const call = () => shop.clock.run(shop.client.createOrder("no such token", someItems));
  const tookMs = await elapsedMs(shop, () =>
    expect(call()).rejects.toMatchObject({ code: "unauthenticated", message: "Invalid or expired token" }),
  );
  expect(tookMs).toBe(40);
  await shop.clock.advance(100);
  expect(shop.users.counts()).toEqual({ deposits: 0, parked: 0 });
  expect(await shop.orderStore.count()).toBe(0);
});

describe("an introduction ends", () => {
  test("with its lifetime, in the gateway and at users, and leaves the tables as they were at the start", async () => {
    await using shop = await makeShop({ delayMs });
    const { token } = await shop.login("bob");
    await shop.clock.run(shop.client.createOrder(token, someItems));
    await shop.clock.advance(100);
    const tables = () => ({
      gateway: shop.links.gatewayUsers.near.stats(),
      users: shop.links.gatewayUsers.far.stats(),
    });
    // One entry on each side: the gateway's hold on its deposit.
    expect(tables()).toEqual({ gateway: { imports: 2, exports: 1 }, users: { imports: 1, exports: 2 } });
    await shop.clock.advance(15 * 60_000);
    expect(tables()).toEqual({ gateway: { imports: 1, exports: 1 }, users: { imports: 1, exports: 1 } });
    expect(shop.introductions.size).toBe(0);
    expect(shop.users.counts()).toEqual({ deposits: 0, parked: 0 });
  });

  test("with the token, when that ends sooner", async () => {
    await using shop = await makeShop({ delayMs, tokenLifetimeMs: 60_000 });
    const { token } = await shop.login("bob");
    await shop.clock.run(shop.client.createOrder(token, someItems));
    await shop.clock.advance(60_000);
    expect(shop.introductions.size).toBe(0);
    expect(shop.users.counts()).toEqual({ deposits: 0, parked: 0 });
    const late = shop.clock.run(shop.client.createOrder(token, someItems));
    await expect(late).rejects.toMatchObject({ code: "unauthenticated", message: "Invalid or expired token" });
  });
});
