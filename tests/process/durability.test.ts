import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { Item } from "../../shop/contracts/orders.ts";
import type { ServiceName } from "../../shop/topology.ts";
import { batchClient, patient, type TestClient, webSocketClient } from "../gateway-clients.ts";
import { startProcesses, until } from "../process-harness.ts";

const items: Item[] = [{ name: "Laptop", quantity: 1, price: 999.99 }];
const password = "password";

test("after kill -9 of all three during a stream of orders, every acknowledged order is there, exactly once", async () => {
  await using shop = await startProcesses();
  const { token } = await patient(batchClient(shop.urls.gateway)).login("bob", password);
  const acknowledged = new Map<string, string>();
  const asked: string[] = [];
  for (const killed of [
    ["users", "orders", "gateway"],
    ["orders", "gateway", "users"],
  ] as ServiceName[][]) {
    const atLeast = acknowledged.size + 100;
    const stream = Array.from({ length: 8 }, () => orderOn(patient(webSocketClient(shop.urls.gateway))));
    await until(() => acknowledged.size >= atLeast, "a hundred orders were acknowledged");
    await Promise.all(killed.map((name) => shop.kill(name)));
    await Promise.all(stream);
    await Promise.all(killed.map((name) => shop.start(name)));
    await shop.ready();
  }

  const client = patient(batchClient(shop.urls.gateway, { connection: "close" }));
  const stored = await client.listOrders(token);
  const count = new Map<string, number>();
  for (const { orderId, total } of stored) {
    count.set(orderId, (count.get(orderId) ?? 0) + 1);
    expect(total).toBe(items[0]?.price);
  }
  for (const orderId of acknowledged.values()) expect(count.get(orderId), orderId).toBe(1);
  expect(new Set(acknowledged.values()).size).toBe(acknowledged.size);

  // Asked again with their keys, the acknowledged ones are the same orders, and the others are placed now if they were
  // not: in the end there is one order per key.
  using again = patient(webSocketClient(shop.urls.gateway));
  const answers = await Promise.all(asked.map((key) => again.createOrder(token, items, key)));
  for (const [i, key] of asked.entries()) {
    if (acknowledged.has(key)) expect(answers[i]?.orderId).toBe(acknowledged.get(key));
  }
  expect(await client.listOrders(token)).toHaveLength(asked.length);

  /** Orders one after the other until the gateway is gone. */
  async function orderOn(stream: TestClient): Promise<void> {
    using own = stream;
    for (;;) {
      const key = randomUUID();
      asked.push(key);
      try {
        const { orderId } = await own.createOrder(token, items, key);
        acknowledged.set(key, orderId);
      } catch {
        return;
      }
    }
  }
});
