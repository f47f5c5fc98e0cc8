import { type CallContext, currentContext, withContext } from "@flotilla/kit";
import { describe, expect, test } from "vitest";
import type { ServiceName } from "../shop/topology.ts";
import { makeShop, type Shop, someItems } from "./shop-harness.ts";

const delayMs = 10;
const traceId = "0af7651916cd43dd8448eb211c80319c";

type Seen = Partial<Record<ServiceName, CallContext[]>>;

/** A shop whose services note the context in which they work. */
async function observedShop(): Promise<{ shop: Shop; seen: Seen }> {
  const seen: Seen = {};
  const shop = await makeShop({
    delayMs,
    onWork(service) {
      const context = currentContext();
      if (context) seen[service] = [...(seen[service] ?? []), context];
    },
  });
  return { shop, seen };
}

function forget(seen: Seen): void {
  for (const service of Object.keys(seen) as ServiceName[]) delete seen[service];
}

describe("what a client sets", () => {
  test("is seen in all three services, at users also through the capability that orders withdrew", async () => {
    const { shop, seen } = await observedShop();
    await using _ = shop;
    const { token } = await shop.login("bob");
    // From the second order on, nothing but the withdrawn capability is called at users.
    await shop.clock.run(shop.client.createOrder(token, someItems));
    forget(seen);
    const startMs = shop.clock.monotonicMs();
    const order = withContext(
      { traceId, timeoutMs: 7_000 },
      () => shop.client.createOrder(token, someItems),
      shop.clock,
    );
    await shop.clock.run(order);

    expect(Object.keys(seen).sort()).toEqual(["gateway", "orders", "users"]);
    for (const contexts of Object.values(seen)) {
      for (const context of contexts) expect(context.traceId).toBe(traceId);
    }
    // What is left travels, not an instant: so each hop adds at most its own 10 ms to the deadline.
    const latestMs = { gateway: 7_010, orders: 7_020, users: 7_030 };
    for (const [service, contexts] of Object.entries(seen) as [ServiceName, CallContext[]][]) {
      for (const { deadlineAtMs } of contexts) {
        expect(deadlineAtMs - startMs).toBeGreaterThan(6_900);
        expect(deadlineAtMs - startMs).toBeLessThanOrEqual(latestMs[service]);
      }
    }
    // An outside client names no callers; the services are named by their keys.
    expect(seen.gateway?.map(({ callers }) => callers)).toContainEqual([]);
    expect(seen.orders?.map(({ callers }) => callers)).toEqual([["gateway"]]);
    expect(seen.users?.map(({ callers }) => callers)).toEqual([["gateway", "orders"]]);
  });

  test("about its callers is dropped at the edge", async () => {
    const { shop, seen } = await observedShop();
    await using _ = shop;
    const { token } = await shop.login("bob");
    forget(seen);
    const call = () => shop.client.createOrder(token, someItems);
    await shop.clock.run(withContext({ callers: ["users", "orders"] }, call, shop.clock));
    for (const { callers } of seen.gateway ?? []) expect(callers).toEqual([]);
    for (const { callers } of seen.orders ?? []) expect(callers).toEqual(["gateway"]);
  });

  test("is the requestId of the error, whichever service made it", async () => {
    await using shop = await makeShop({ delayMs });
    const { token } = await shop.login("bob");
    const within = (call: () => PromiseLike<unknown>) => shop.clock.run(withContext({ traceId }, call, shop.clock));
    const { client } = shop;
    const refused = { requestId: traceId };
    await expect(within(() => client.createOrder(token, []))).rejects.toMatchObject(refused);
    await expect(within(() => client.getUserProfile("none"))).rejects.toMatchObject(refused);
    await expect(within(() => client.cancelOrder(token, "order1"))).rejects.toMatchObject(refused);
    await expect(within(() => client.createOrder("none", someItems))).rejects.toMatchObject(refused);
  });

  test("for one call is not seen by another that runs at the same time", async () => {
    const { shop, seen } = await observedShop();
    await using _ = shop;
    const { token } = await shop.login("bob");
    forget(seen);
    const traceIds = Array.from({ length: 20 }, (_, i) => `${String(i).padStart(2, "0")}${traceId.slice(2)}`);
    const calls = traceIds.map((id) =>
      withContext({ traceId: id }, () => shop.client.createOrder(token, someItems), shop.clock),
    );
    await shop.clock.run(Promise.all(calls));
    expect(seen.orders?.map((context) => context.traceId).sort()).toEqual(traceIds);
    expect(new Set(seen.users?.map((context) => context.traceId))).toEqual(new Set(traceIds));
  });
});

describe("a deadline", () => {
  test("that has passed when a call arrives is answered at once, and nothing is begun", async () => {
    const { shop, seen } = await observedShop();
    await using _ = shop;
    const { token } = await shop.login("bob");
    await shop.clock.advance(100);
    forget(seen);
    const before = shop.links.gatewayOrders.messages.length;
    const startMs = shop.clock.monotonicMs();
    const call = withContext({ timeoutMs: 0 }, () => shop.client.createOrder(token, someItems), shop.clock);
    await expect(shop.clock.run(call)).rejects.toMatchObject({ code: "deadline_exceeded" });
    expect(shop.clock.monotonicMs() - startMs).toBe(0);
    await shop.clock.advance(100);
    expect(seen).toEqual({});
    expect(shop.links.gatewayOrders.messages).toHaveLength(before);
  });

  test("that passes on the way answers the client in time, ends the call everywhere, and no order is placed", async () => {
    await using shop = await makeShop({ delayMs });
    const { token } = await shop.login("bob");
    const startMs = shop.clock.monotonicMs();
    // The gateway has it 10 ms later with 15 left, orders at 20 until 35; the answer of users would be there at 40.
    const call = withContext({ timeoutMs: 15 }, () => shop.client.createOrder(token, someItems), shop.clock);
    await expect(shop.clock.run(call)).rejects.toMatchObject({ code: "deadline_exceeded" });
    expect(shop.clock.monotonicMs() - startMs).toBe(15);
    await shop.clock.advance(1_000);
    expect(await shop.orderStore.count()).toBe(0);
  });

  test("is never longer than what the caller has left", async () => {
    const { shop, seen } = await observedShop();
    await using _ = shop;
    const { token } = await shop.login("bob");
    forget(seen);
    const startMs = shop.clock.monotonicMs();
    const long = withContext({ timeoutMs: 3_600_000 }, () => shop.client.listOrders(token), shop.clock);
    await shop.clock.run(long);
    for (const { deadlineAtMs } of seen.gateway ?? []) expect(deadlineAtMs - startMs).toBeLessThanOrEqual(30_010);
  });
});
