import { type Order, orderId } from "../../shop/orders/order.ts";
import { type OrderStore, refusals } from "../../shop/orders/store.ts";
import { openSqliteOrderStore } from "../../shop/orders/store-sql.ts";

/**
 * Keeps orders as the peers keep theirs in memory: an order costs them no database either. Calls that no
 * measurement makes go to an empty database.
 */
export function makeMemoryOrders(): OrderStore {
  const orders = new Map<string, Order>();
  const acknowledged = new Map<string, { readonly requestHash: string; readonly order: Order }>();
  return {
    ...openSqliteOrderStore(":memory:"),
    async place({ idempotency: { scope, key, requestHash }, lines, ...rest }) {
      const earlier = acknowledged.get(`${scope} ${key}`);
      if (earlier && earlier.requestHash !== requestHash) throw refusals.keyUsed();
      if (earlier) return { order: earlier.order, replayed: true };
      const id = orderId(orders.size + 1);
      const order: Order = { ...rest, id, lines: lines.map((line) => ({ ...line })), status: "pending" };
      orders.set(id, order);
      acknowledged.set(`${scope} ${key}`, { requestHash, order });
      return { order, replayed: false };
    },
    count: async () => orders.size,
  };
}
