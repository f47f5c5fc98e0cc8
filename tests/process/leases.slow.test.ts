import { newWebSocketRpcSession } from "capnweb";
import { describe, expect, test } from "vitest";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import type { Item } from "../../shop/contracts/orders.ts";
import { startProcesses } from "../process-harness.ts";

const items: Item[] = [{ name: "Laptop", quantity: 1, price: 999.99 }];
const password = "password";
const denied = { message: "You don't have permission to create orders" };

type Processes = Awaited<ReturnType<typeof startProcesses>>;

/** A client of the gateway, alice's office and bob, who has just ordered so often that nobody is asked about him any more. */
async function open(shop: Processes) {
  const gateway = newWebSocketRpcSession<Gateway>(`${shop.urls.gateway.replace("http", "ws")}/rpc`);
  const [alice, bob] = await Promise.all([gateway.login("alice", password), gateway.login("bob", password)]);
  const order = async () => await gateway.createOrder(bob.token, items);
  const mayOrder = async (isAllowed: boolean) => {
    const office = gateway.account(alice.token).administration();
    await office.setRolePermissions("user", isAllowed ? ["order.create", "order.view"] : ["order.view"]);
  };
  return {
    order,
    mayOrder,
    async warmUp() {
      for (let count = 0; count < 20; count += 1) await order();
    },
    [Symbol.dispose]: () => gateway[Symbol.dispose](),
  };
}

function signal(shop: Processes, name: "users" | "orders", word: "SIGSTOP" | "SIGCONT"): void {
  process.kill(shop.pidOf(name)!, word);
}

/** Not `expect(call).rejects` later on: it may be refused before. */
const outcome = (call: Promise<unknown>) =>
  call.then(
    () => "ordered",
    (error: Error) => error.message,
  );

describe("a role that was changed", () => {
  test("counts for an Order Service that stood still, once it was answered", async () => {
    await using shop = await startProcesses();
    using client = await open(shop);
    for (let round = 0; round < 3; round += 1) {
      await client.warmUp();
      signal(shop, "orders", "SIGSTOP");
      try {
        // It hears of nothing, so the change waits for its leases.
        await client.mayOrder(false);
        const order = outcome(client.order());
        signal(shop, "orders", "SIGCONT");
        expect(await order).toBe(denied.message);
      } finally {
        signal(shop, "orders", "SIGCONT");
      }
      await client.mayOrder(true);
    }
    expect(await outcome(client.order())).toBe("ordered");
  });

  test("counts when the User Service that vouched for the earlier one was killed", async () => {
    await using shop = await startProcesses();
    using client = await open(shop);
    await client.warmUp();
    signal(shop, "orders", "SIGSTOP");
    let order: Promise<string>;
    try {
      await shop.kill("users");
      await shop.start("users");
      await expect.poll(() => outcome(client.mayOrder(false)), { timeout: 20_000 }).toBe("ordered");
      order = outcome(client.order());
    } finally {
      signal(shop, "orders", "SIGCONT");
    }
    expect(await order).not.toBe("ordered");
    await expect.poll(() => outcome(client.order()), { timeout: 20_000 }).toBe(denied.message);
    for (let count = 0; count < 20; count += 1) expect(await outcome(client.order())).not.toBe("ordered");
  });

  test("is answered soon where everybody hears of it, orders meanwhile or not", async () => {
    await using shop = await startProcesses();
    using client = await open(shop);
    await client.warmUp();
    for (const isAllowed of [false, true, false, true]) {
      const orders = Array.from({ length: 8 }, () => outcome(client.order()));
      await client.mayOrder(isAllowed);
      expect(await outcome(client.order())).toBe(isAllowed ? "ordered" : denied.message);
      await Promise.all(orders);
    }
  });
});
