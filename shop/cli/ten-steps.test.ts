import { expect, test } from "vitest";
import { MemoryGateway } from "./fixtures/gateway.ts";
import type { GatewayClient } from "./gateway-client.ts";
import { runTenSteps } from "./ten-steps.ts";

/** The specification's output, to the letter but for the tokens. */
const specified = `=== Microservices Demo ===

1. Login as Bob (regular user)
   ✓ Logged in as bob (role: user)
   Token: …6789-bob

2. Get Bob's profile
   User ID: user2
   Username: bob
   Email: bob@example.com
   Role: user

3. List all users
   Found 3 users:
     - alice (id: user1, role: admin)
     - bob (id: user2, role: user)
     - charlie (id: user3, role: user)

4. Create an order as Bob
   ✓ Order created: order1
   Total: $1059.97
   Status: pending
   Items: 2

5. List Bob's orders
   Found 1 order(s):
     - order1: $1059.97 (pending)

6. Try to cancel order as Bob (should fail)
   ✓ Expected failure: You don't have permission to cancel orders

7. Login as Alice (admin)
   ✓ Logged in as alice (role: admin)
   Token: …89-alice

8. Create an order as Alice
   ✓ Order created: order2
   Total: $4999.99

9. Alice cancels Bob's order (should succeed)
   ✓ Order cancelled: order1
   Status: cancelled

10. Verify Bob's order was cancelled
   Order order1 status: cancelled
   ✓ Order successfully cancelled

=== Demo Complete ===

This demo showed:
  • API Gateway routing requests to backend services
  • User authentication via User Service
  • Cross-service capability passing (User → Order Service)
  • Permission-based access control (admin can cancel, user cannot)
  • Service mesh architecture with Cap'n Web`;

async function outputOf(gateway: GatewayClient): Promise<string[]> {
  const lines: string[] = [];
  await runTenSteps(gateway, (line) => lines.push(line));
  return lines;
}

/** The gateway with one method replaced. */
function differing(change: Partial<GatewayClient>): GatewayClient {
  const gateway = new MemoryGateway();
  return {
    login: (username, password) => gateway.login(username, password),
    getUserProfile: (token) => gateway.getUserProfile(token),
    listUsers: () => gateway.listUsers(),
    createOrder: (token, items) => gateway.createOrder(token, items),
    listOrders: (token) => gateway.listOrders(token),
    cancelOrder: (token, orderId) => gateway.cancelOrder(token, orderId),
    ...change,
  };
}

test("the output is the specification's", async () => {
  expect((await outputOf(new MemoryGateway())).join("\n")).toBe(specified);
});

test("of a long list of orders the last ten are shown", async () => {
  const gateway = new MemoryGateway();
  const { token } = await gateway.login("bob", "password");
  for (let n = 0; n < 14; n++) await gateway.createOrder(token, [{ name: "Pen", quantity: 1, price: 0.1 }]);
  const lines = await outputOf(gateway);
  const at = lines.indexOf("5. List Bob's orders");
  expect(lines.slice(at + 1, at + 4)).toEqual([
    "   Found 15 order(s):",
    "     ... and 5 more",
    "     - order6: $0.10 (pending)",
  ]);
  expect(lines[at + 12]).toBe("     - order15: $1059.97 (pending)");
});

test("a user who can cancel fails the demo", async () => {
  const gateway = differing({ cancelOrder: async (_token, orderId) => ({ orderId, status: "cancelled" }) });
  await expect(outputOf(gateway)).rejects.toThrow("Bob could cancel");
});

test("a broken connection is not taken for the expected refusal", async () => {
  const gateway = differing({ cancelOrder: () => Promise.reject(new Error("fetch failed")) });
  await expect(outputOf(gateway)).rejects.toThrow("fetch failed");
});

test("an order that is not cancelled after all fails the demo", async () => {
  const memory = new MemoryGateway();
  const gateway = differing({
    login: (username, password) => memory.login(username, password),
    createOrder: (token, items) => memory.createOrder(token, items),
    cancelOrder: async (token, orderId) => ({ ...(await memory.cancelOrder(token, orderId)) }),
    listOrders: async (token) => (await memory.listOrders(token)).map((order) => ({ ...order, status: "pending" })),
  });
  await expect(outputOf(gateway)).rejects.toThrow("should be cancelled and is not");
});

test("a refused login says that the demo needs the users of development", async () => {
  const refused = Object.assign(new Error("Invalid username or password"), { code: "unauthenticated" });
  await expect(outputOf(differing({ login: () => Promise.reject(refused) }))).rejects.toMatchObject({
    message: "Invalid username or password",
    detail: { hint: expect.stringContaining("development system") },
  });
});
