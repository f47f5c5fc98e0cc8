import type { FlotillaError, Instances } from "@flotilla/kit";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import type { OrderEntry } from "../../shop/contracts/orders.ts";
import { patiently } from "../gateway-clients.ts";
import { until } from "../process-harness.ts";
import { type Intent, violations } from "./history.ts";

/** People who place one order after the other through whatever gateway is there, each order once, by a call that is repeatable. */
export interface Orderers {
  /** Orders that were acknowledged so far. */
  readonly acknowledged: number;
  /** Calls that failed, by code and reason. What was refused as too much is sent again, with its key. */
  readonly failed: ReadonlyMap<string, number>;
  /** How long an order took, in order of time. Milliseconds. */
  readonly latenciesMs: readonly number[];
  /** Resolves when some more were acknowledged. */
  more(): Promise<void>;
  /** No further orders. @returns see `violations`. */
  finish(): Promise<string[]>;
}

const pageMax = 1_000;

/** `count` of them, all of them bob. */
export async function sendOrderers(gateway: Instances<Gateway>, count: number): Promise<Orderers> {
  const { token } = await patiently(() => gateway.call((main) => main.login("bob", "password")));
  const intents: Intent[] = [];
  const failed = new Map<string, number>();
  const latenciesMs: number[] = [];
  let isOver = false;
  const all = Array.from({ length: count }, async () => {
    while (!isOver) await place();
  });

  return {
    failed,
    latenciesMs,
    get acknowledged() {
      return intents.filter((intent) => intent.acknowledged).length;
    },
    async more() {
      const before = latenciesMs.length;
      await until(() => latenciesMs.length >= before + count * 4, "orders are acknowledged");
    },
    async finish() {
      isOver = true;
      await Promise.all(all);
      return violations({ intents, errors: failed }, await stored());
    },
  };

  async function place(): Promise<void> {
    const intent: Intent = { number: intents.length + 1, startedAtMs: performance.now(), attempts: 1 };
    intents.push(intent);
    const key = crypto.randomUUID();
    const items = [{ name: `Order ${intent.number}`, quantity: 1, price: intent.number / 100 }];
    try {
      const order = await patiently(() =>
        gateway.call((main) => main.createOrder(token, items, key), { isRepeatable: true }),
      );
      intent.acknowledged = { orderId: order.orderId, atMs: performance.now() };
      latenciesMs.push(performance.now() - intent.startedAtMs);
    } catch (error) {
      const { code, reason, message } = error as FlotillaError;
      const what = `${code}${reason === undefined ? "" : `, ${reason}`}: ${message}`;
      failed.set(what, (failed.get(what) ?? 0) + 1);
    }
  }

  async function stored(): Promise<OrderEntry[]> {
    const orders: OrderEntry[] = [];
    for (;;) {
      const before = orders[0]?.orderId;
      const page = await patiently(() =>
        gateway.call((main) => main.listOrders(token, before === undefined ? {} : { before })),
      );
      orders.unshift(...page);
      if (page.length < pageMax) return orders;
    }
  }
}
