import type { OrderStore } from "../../shop/orders/store.ts";
import { makeMemoryOrderStore } from "../../shop/orders/store-memory.ts";

/** In place of shop/orders/store-sql.ts: the shop's store in memory, which tells the harness how much it holds. */
export async function openOrderStore(): Promise<OrderStore> {
  const store = makeMemoryOrderStore();
  process.on("message", (message: { type?: unknown } | null) => {
    if (message?.type === "count") void store.count().then((count) => process.send?.({ type: "count", count }));
  });
  return store;
}
