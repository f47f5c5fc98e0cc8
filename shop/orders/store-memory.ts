import { makeMemoryTrail } from "./memory-trail.ts";
import { cancel, type Order, type OrderSummary, orderId, orderNumber } from "./order.ts";
import {
  type Idempotency,
  idempotencyMsMin,
  type ListOptions,
  listMax,
  type OrderStore,
  recordsPurgedMax,
  refusals,
} from "./store.ts";

interface Acknowledged {
  readonly requestHash: string;
  readonly order: Order;
}

/** An `OrderStore` for tests: it forgets everything with the process. */
export function makeMemoryOrderStore(): OrderStore & { close(): void } {
  const orders = new Map<string, Order>();
  /** The numbers of each user's orders, ascending. */
  const numbersOf = new Map<string, number[]>();
  const acknowledged = new Map<string, Acknowledged>();
  const trail = makeMemoryTrail();

  function purge(nowMs: number): void {
    let left = recordsPurgedMax;
    for (const [key, { order }] of acknowledged) {
      // The oldest come first.
      if (left === 0 || order.createdAtMs >= nowMs - idempotencyMsMin) return;
      acknowledged.delete(key);
      left--;
    }
  }

  /** A page of the orders with these numbers, which ascend. */
  function page(numbers: readonly number[], { limit = listMax, before }: ListOptions = {}): OrderSummary[] {
    if (!Number.isInteger(limit) || limit < 1 || limit > listMax) throw refusals.limit();
    const end = before === undefined ? Number.POSITIVE_INFINITY : orderNumber(before);
    if (end === undefined) throw refusals.before();
    const to = numbers.findLastIndex((number) => number < end) + 1;
    return numbers.slice(Math.max(0, to - limit), to).map((number) => {
      const { lines: _, ...summary } = orders.get(orderId(number))!;
      return summary;
    });
  }

  return {
    async place({ idempotency, lines, ...rest }) {
      const key = keyOf(idempotency);
      const earlier = acknowledged.get(key);
      if (earlier && earlier.requestHash !== idempotency.requestHash) throw refusals.keyUsed();
      if (earlier) return { order: earlier.order, replayed: true };
      const number = orders.size + 1;
      const id = orderId(number);
      const order: Order = { ...rest, id, lines: lines.map((line) => ({ ...line })), status: "pending" };
      orders.set(id, order);
      const own = numbersOf.get(order.userId);
      if (own) own.push(number);
      else numbersOf.set(order.userId, [number]);
      purge(order.createdAtMs);
      acknowledged.set(key, { requestHash: idempotency.requestHash, order });
      return { order, replayed: false };
    },
    byId: async (id) => orders.get(id),
    listByUser: async (userId, options) => page(numbersOf.get(userId) ?? [], options),
    listAll: async (options) =>
      page(
        Array.from({ length: orders.size }, (_, at) => at + 1),
        options,
      ),
    async cancel(id, by) {
      const order = orders.get(id);
      if (!order) return undefined;
      const cancelled = cancel(order);
      orders.set(id, cancelled);
      if (order.status !== cancelled.status) {
        trail.record("order_cancelled", { by, subjectId: order.userId, detail: id });
      }
      return cancelled;
    },
    async noteView({ id, userId }, by) {
      trail.record("order_viewed", { by, subjectId: userId, detail: id });
    },
    async noteListing(subjectId, by) {
      trail.record("orders_listed", { by, subjectId });
    },
    refuse: async (permission, by) => trail.refuse(permission, by),
    audit: (page) => trail.audit(page),
    purgeAudit: (nowMs) => trail.purgeAudit(nowMs),
    count: async () => orders.size,
    close() {},
  };
}

function keyOf({ scope, key }: Idempotency): string {
  return JSON.stringify([scope, key]);
}
