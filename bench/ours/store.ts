import type { OrderStore } from "../../shop/orders/store.ts";
import { makeMemoryOrders } from "./memory-orders.ts";

/** In place of shop/orders/store-sql.ts: a store in memory, which tells the harness how much it holds. */
export async function openOrderStore(): Promise<OrderStore> {
  const store = makeMemoryOrders();
  process.on("message", (message: { type?: unknown } | null) => {
    if (message?.type === "count") void store.count().then((count) => process.send?.({ type: "count", count }));
  });
  return store;
}
