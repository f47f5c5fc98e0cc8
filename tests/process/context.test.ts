import { type Connection, type ContextRequest, connect, withContext } from "@flotilla/kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import type { Item } from "../../shop/contracts/orders.ts";
import { callLines, patiently, postLines } from "../gateway-clients.ts";
import { type Processes, startProcesses } from "../process-harness.ts";

let shop: Processes;
let gateway: Connection<Gateway>;
let token: string;
beforeAll(async () => {
  shop = await startProcesses();
  gateway = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
  ({ token } = await patiently(() => gateway.main.login("bob", "password")));
});
afterAll(async () => {
  gateway.close();
  await shop[Symbol.asyncDispose]();
});

const traceId = "0af7651916cd43dd8448eb211c80319c";
const items: Item[] = [{ name: "Laptop", quantity: 1, price: 999.99 }];

/** An outside client on the kit: no key, so anonymous in both directions. */
const within = async (request: ContextRequest, call: () => PromiseLike<unknown>) => await withContext(request, call);

async function countOrders(): Promise<number> {
  return (await patiently(() => gateway.main.listOrders(token))).length;
}

/** How an order ended, and how long its last attempt took: a busy machine sheds some before it. */
async function endOfOrder(request: ContextRequest): Promise<{ readonly error: unknown; readonly tookMs: number }> {
  let startMs = 0;
  const attempt = () => {
    startMs = performance.now();
    return within(request, () => gateway.main.createOrder(token, items));
  };
  const error = await patiently(attempt).then(
    () => "placed",
    (refused: unknown) => refused,
  );
  return { error, tookMs: performance.now() - startMs };
}

/** What is refused by each service in turn; the requestId is the trace id in which that service worked. */
const refusals: readonly [service: string, code: string, method: string, args: () => unknown[]][] = [
  ["the gateway", "invalid_argument", "createOrder", () => [token, []]],
  ["users", "unauthenticated", "getUserProfile", () => ["invalid"]],
  // By what the withdrawn User answered.
  ["orders", "permission_denied", "cancelOrder", () => [token, "order1"]],
  ["users while the user is introduced", "unauthenticated", "listOrders", () => ["invalid"]],
];

describe("the client's trace id", () => {
  test.each(refusals)("is seen by %s, over WebSocket and by a batch's traceparent", async (_, code, method, args) => {
    const main = gateway.main as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    const refused = patiently(() => within({ traceId }, () => main[method]!(...args())));
    await expect(refused).rejects.toMatchObject({ code, requestId: traceId });

    const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
    const [answer] = await postLines(shop.urls.gateway, headers, callLines(method, args()));
    const error = ["error", code, expect.any(String), null, expect.objectContaining({ requestId: traceId })];
    expect(answer).toEqual(["reject", 1, error]);
  });
});

/** Without the deadline that was set, it would be the 10 s of a call that says none. */
const soonMs = 5_000;

describe("an expired deadline", () => {
  const late = { code: "deadline_exceeded" };

  test("is answered in time and places no order, over WebSocket", async () => {
    const before = await countOrders();
    const ends = await Promise.all(Array.from({ length: 20 }, () => endOfOrder({ timeoutMs: 0 })));
    for (const { error, tookMs } of ends) {
      expect(error).toMatchObject(late);
      expect(tookMs).toBeLessThan(soonMs);
    }
    expect(await countOrders()).toBe(before);
  });

  test("is answered in time and places no order, by a batch's flotilla-timeout-ms", async () => {
    const before = await countOrders();
    const lines = callLines("createOrder", [token, items]);
    const [answer] = await postLines(shop.urls.gateway, { "flotilla-timeout-ms": "0" }, lines);
    expect((answer as [string, number, string[]])[2].slice(0, 2)).toEqual(["error", "deadline_exceeded"]);
    expect(await countOrders()).toBe(before);
  });

  test("ends a call that a service does not answer, and the service's own calls with it", async () => {
    // Stopped, not dead: its sockets are open, and nothing is ever read from them.
    const pid = shop.pidOf("orders")!;
    const before = await countOrders();
    process.kill(pid, "SIGSTOP");
    try {
      const { error, tookMs } = await endOfOrder({ timeoutMs: 300 });
      expect(error).toMatchObject(late);
      expect(tookMs).toBeGreaterThanOrEqual(299);
      expect(tookMs).toBeLessThan(soonMs);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    // The call waited in the sockets of the stopped process. Clocks differ, so what a call has left when it is sent is
    // counted again from when it is read: it may still be run then, as `deadline_exceeded` says.
    expect((await countOrders()) - before).toBeLessThanOrEqual(1);
  });
});
