import { setTimeout as sleep } from "node:timers/promises";
import { type Connection, connect, hasCode } from "@flotilla/kit";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import type { OrderEntry } from "../../shop/contracts/orders.ts";
import { patiently } from "../gateway-clients.ts";
import type { History, Intent } from "./history.ts";

/** Between two attempts of one intent: as a patient program does it, and with its own reconnection underneath. */
const retryMs = 20;
const pageMax = 1_000;

/** People who place one order after the other, each until it is acknowledged. */
export interface Customers extends Disposable {
  readonly history: History;
  /** No further intents; resolves when all there are were acknowledged. */
  finish(): Promise<void>;
  /** All orders of the user, by pages. */
  stored(): Promise<OrderEntry[]>;
}

/** `count` of them at the gateway at `url`, all of them bob, each with a connection of their own. */
export async function sendCustomers(url: string, count: number): Promise<Customers> {
  const connections = Array.from({ length: count }, () => connect<Gateway>({ name: "gateway", url }));
  const intents: Intent[] = [];
  const errors = new Map<string, number>();
  let isOver = false;
  let token = await logIn();
  const all = connections.map(async (gateway) => {
    while (!isOver) {
      const intent: Intent = { number: intents.length + 1, startedAtMs: performance.now(), attempts: 0 };
      intents.push(intent);
      await place(gateway, intent);
    }
  });
  // Whoever awaits `finish` hears of it.
  for (const one of all) one.catch(() => {});

  return {
    history: { intents, errors },
    async finish() {
      isOver = true;
      await Promise.all(all);
    },
    stored,
    [Symbol.dispose]() {
      isOver = true;
      for (const connection of connections) connection.close();
    },
  };

  async function logIn(): Promise<string> {
    return (await patiently(() => connections[0]!.main.login("bob", "password"))).token;
  }

  async function place(gateway: Connection<Gateway>, intent: Intent): Promise<void> {
    // One key for the intent, however often it is sent.
    const key = crypto.randomUUID();
    const items = [{ name: `Order ${intent.number}`, quantity: 1, price: intent.number / 100 }];
    while (!intent.acknowledged) {
      intent.attempts += 1;
      const used = token;
      try {
        const { orderId } = await gateway.main.createOrder(used, items, key);
        intent.acknowledged = { orderId, atMs: performance.now() };
      } catch (error) {
        const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
        if (!hasCode(error, "resource_exhausted")) errors.set(code, (errors.get(code) ?? 0) + 1);
        if (hasCode(error, "unauthenticated") && used === token) token = await logIn().catch(() => token);
        await sleep(retryMs * (0.5 + Math.random()));
      }
    }
  }

  async function stored(): Promise<OrderEntry[]> {
    const { main } = connections[0]!;
    const orders: OrderEntry[] = [];
    for (;;) {
      const before = orders[0]?.orderId;
      const page = await patiently(() => main.listOrders(token, before === undefined ? {} : { before }));
      orders.unshift(...page);
      if (page.length < pageMax) return orders;
    }
  }
}
