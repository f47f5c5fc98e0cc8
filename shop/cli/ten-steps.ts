import type { Item } from "../contracts/orders.ts";
import type { Login } from "../contracts/users.ts";
import { advised, toCliError } from "./cli-error.ts";
import { money, orderLines, shortened, success } from "./format.ts";
import type { GatewayClient } from "./gateway-client.ts";

/** Every demo account has it; there are no demo accounts in production. */
const password = "password";

const bobsItems: Item[] = [
  { name: "Laptop", quantity: 1, price: 999.99 },
  { name: "Mouse", quantity: 2, price: 29.99 },
];
const alicesItems: Item[] = [{ name: "Server", quantity: 1, price: 4999.99 }];

/**
 * The demo of the specification, with its words. `print` is given one line at a time. Rejects when a step that should
 * succeed fails, with that error, or when the one that should fail succeeds.
 */
export async function runTenSteps(gateway: GatewayClient, print: (line: string) => void): Promise<void> {
  const step = (title: string): void => {
    print("");
    print(title);
  };
  print("=== Microservices Demo ===");

  step("1. Login as Bob (regular user)");
  const bob = await login(gateway, "bob", print);

  step("2. Get Bob's profile");
  const profile = await gateway.getUserProfile(bob.token);
  print(`   User ID: ${profile.userId}`);
  print(`   Username: ${profile.username}`);
  print(`   Email: ${profile.email}`);
  print(`   Role: ${profile.role}`);

  step("3. List all users");
  const users = await gateway.listUsers(bob.token);
  print(`   Found ${users.length} users:`);
  for (const user of users) print(`     - ${user.username} (id: ${user.id}, role: ${user.role})`);

  step("4. Create an order as Bob");
  const order = await gateway.createOrder(bob.token, bobsItems);
  print(success(`Order created: ${order.orderId}`));
  print(`   Total: ${money(order.total)}`);
  print(`   Status: ${order.status}`);
  print(`   Items: ${order.items.length}`);

  step("5. List Bob's orders");
  for (const line of orderLines(await gateway.listOrders(bob.token))) print(line);

  step("6. Try to cancel order as Bob (should fail)");
  print(success(`Expected failure: ${await refusal(gateway.cancelOrder(bob.token, order.orderId))}`));

  step("7. Login as Alice (admin)");
  const alice = await login(gateway, "alice", print);

  step("8. Create an order as Alice");
  const server = await gateway.createOrder(alice.token, alicesItems);
  print(success(`Order created: ${server.orderId}`));
  print(`   Total: ${money(server.total)}`);

  step("9. Alice cancels Bob's order (should succeed)");
  const cancelled = await gateway.cancelOrder(alice.token, order.orderId);
  print(success(`Order cancelled: ${cancelled.orderId}`));
  print(`   Status: ${cancelled.status}`);

  step("10. Verify Bob's order was cancelled");
  const found = (await gateway.listOrders(bob.token)).find(({ orderId }) => orderId === order.orderId);
  print(`   Order ${order.orderId} status: ${found?.status ?? "not found"}`);
  if (found?.status !== "cancelled") throw new Error("The order should be cancelled and is not");
  print(success("Order successfully cancelled"));

  for (const line of closing) print(line);
}

const needsDemoUsers = "The demo needs the users and passwords that a new development system has";

const closing = [
  "",
  "=== Demo Complete ===",
  "",
  "This demo showed:",
  "  • API Gateway routing requests to backend services",
  "  • User authentication via User Service",
  "  • Cross-service capability passing (User → Order Service)",
  "  • Permission-based access control (admin can cancel, user cannot)",
  "  • Service mesh architecture with Cap'n Web",
];

async function login(gateway: GatewayClient, username: string, print: (line: string) => void): Promise<Login> {
  const session = await gateway.login(username, password).catch((thrown: unknown) => {
    const error = toCliError(thrown);
    throw error.code === "unauthenticated" ? advised(error, needsDemoUsers) : thrown;
  });
  print(success(`Logged in as ${session.username} (role: ${session.role})`));
  print(`   Token: ${shortened(session.token)}`);
  return session;
}

/** The message with which the call was refused. Any other outcome, a lost connection too, is not what was expected. */
async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "permission_denied") return error.message;
    throw error;
  }
  throw new Error("Bob could cancel an order, which only an admin may");
}
