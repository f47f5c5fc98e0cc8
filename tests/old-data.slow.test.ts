import { expect, test } from "vitest";
import { batchClient } from "./gateway-clients.ts";
import { copyOldData } from "./old-data/old-data.ts";
import { startProcesses } from "./process-harness.ts";

test("the services of today start on the data of commit b102941, know its people and orders, and start again without a word", async () => {
  const prepare = async (dataDir: string) => copyOldData("b102941", "development", dataDir);
  await using shop = await startProcesses({ prepare });
  const first = shop.output("users") + shop.output("orders");
  const client = batchClient(shop.urls.gateway);
  const dora = await client.login("dora", "a horse in the rain");
  expect((await client.listOrders(dora.token)).map(({ orderId, status }) => [orderId, status])).toEqual([
    ["order1", "pending"],
    ["order2", "cancelled"],
  ]);
  await expect(client.login("emil", "a cow upon the ice")).rejects.toThrow("Invalid username or password");
  for (const name of ["users", "orders"] as const) {
    await shop.stop(name);
    await shop.start(name);
  }
  await shop.ready();
  // Its banner, twice, and no line of a log.
  expect(shop.output("users") + shop.output("orders")).toHaveLength(2 * first.length);
  expect(first).not.toContain('"level"');
  const mouse = await client.createOrder(dora.token, [{ name: "Mouse", quantity: 1, price: 1 }]);
  expect(mouse.orderId).toBe("order5");
});
