import { setTimeout as sleep } from "node:timers/promises";
import { connectAll, type FlotillaError, type Instances } from "@flotilla/kit";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import type { OrderEntry } from "../../shop/contracts/orders.ts";
import { type ServiceName, serviceNames } from "../../shop/topology.ts";
import { startPostgres } from "../postgres.ts";
import { until } from "../process-harness.ts";
import { type Intent, violations } from "./history.ts";
import { startInstances } from "./instances.ts";
import { ratesMax } from "./kills.ts";

export interface RollingOptions {
  /** How often every instance of every service is restarted. */
  readonly rounds: number;
  readonly customers: number;
  /** Between two restarts. Milliseconds. */
  readonly pauseMs: number;
  readonly onRestart?: (done: number) => void;
}

export interface Restart {
  readonly service: ServiceName;
  /** From SIGTERM until the process had ended, and from then until the next one was ready. Milliseconds. */
  readonly drainMs: number;
  readonly readyMs: number;
}

export interface RollingReport {
  readonly restarts: readonly Restart[];
  /** Orders that were acknowledged at their first call, which is repeatable. */
  readonly acknowledged: number;
  /** Calls that failed, by code and reason. */
  readonly failed: ReadonlyMap<string, number>;
  /** How long an order took, in order of time. Milliseconds. */
  readonly latenciesMs: readonly number[];
  /** See `violations`. */
  readonly violations: readonly string[];
}

const pageMax = 1_000;

/**
 * Two instances of each service on PostgreSQL: each is told to stop and started anew, one after the other, while customers
 * order. Their connection knows both gateways, and each order has its key.
 */
export async function rollUnderLoad({ rounds, customers, pauseMs, onRestart }: RollingOptions): Promise<RollingReport> {
  await using postgres = await startPostgres();
  const env = {
    ...ratesMax,
    FLOTILLA_USERS_STORE: `${postgres.url()}?schema=users`,
    FLOTILLA_ORDERS_STORE: `${postgres.url()}?schema=orders`,
    FLOTILLA_LOG_LEVEL: "warn",
  };
  await using shop = await startInstances({ count: 2, env });
  using gateway = connectAll<Gateway>({ name: "gateway", urls: shop.urlsOf("gateway") });
  await gateway.opened();
  const login = await gateway.call((main) => main.login("bob", "password"));
  const intents: Intent[] = [];
  const failed = new Map<string, number>();
  const latenciesMs: number[] = [];
  let isOver = false;
  const all = Array.from({ length: customers }, async () => {
    while (!isOver) await place();
  });
  const restarts: Restart[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const service of serviceNames) {
      for (const index of [0, 1]) {
        await moreOrders();
        await sleep(pauseMs);
        const stoppedAtMs = performance.now();
        const code = await shop.stop(service, index);
        if (code !== 0) throw new Error(`${service} ended with ${code}`);
        const endedAtMs = performance.now();
        await shop.start(service, index);
        const readyMs = performance.now() - endedAtMs;
        restarts.push({ service, drainMs: endedAtMs - stoppedAtMs, readyMs });
        onRestart?.(restarts.length);
      }
    }
  }
  await moreOrders();
  isOver = true;
  await Promise.all(all);
  const acknowledged = intents.filter((intent) => intent.acknowledged).length;
  const found = violations({ intents, errors: failed }, await storedBy(gateway, login.token));
  return { restarts, acknowledged, failed, latenciesMs, violations: found };

  async function place(): Promise<void> {
    const intent: Intent = { number: intents.length + 1, startedAtMs: performance.now(), attempts: 1 };
    intents.push(intent);
    const key = crypto.randomUUID();
    const items = [{ name: `Order ${intent.number}`, quantity: 1, price: intent.number / 100 }];
    try {
      const order = await gateway.call((main) => main.createOrder(login.token, items, key), { isRepeatable: true });
      intent.acknowledged = { orderId: order.orderId, atMs: performance.now() };
      latenciesMs.push(performance.now() - intent.startedAtMs);
    } catch (error) {
      const { code, reason, message } = error as FlotillaError;
      const what = `${code}${reason === undefined ? "" : `, ${reason}`}: ${message}`;
      failed.set(what, (failed.get(what) ?? 0) + 1);
    }
  }

  /** Through whatever is there now. */
  async function moreOrders(): Promise<void> {
    const before = latenciesMs.length;
    await until(() => latenciesMs.length >= before + customers * 4, "orders are acknowledged");
  }
}

/** All orders of whom `token` is of. */
export async function storedBy(gateway: Instances<Gateway>, token: string): Promise<OrderEntry[]> {
  const orders: OrderEntry[] = [];
  for (;;) {
    const before = orders[0]?.orderId;
    const page = await gateway.call((main) => main.listOrders(token, before === undefined ? {} : { before }));
    orders.unshift(...page);
    if (page.length < pageMax) return orders;
  }
}
