import { expect, test } from "vitest";
import type { GatewayClient } from "../shop/cli/gateway-client.ts";
import { runTenSteps } from "../shop/cli/ten-steps.ts";
import { clientOf, demoPassword, makeShop } from "./shop-harness.ts";

test("the orders links carry the ten steps and neither a token nor a password", async () => {
  await using shop = await makeShop({ delayMs: 10 });
  const { client, tokens } = notingTokens(clientOf(shop));
  const printed: string[] = [];
  await runTenSteps(client, (line) => printed.push(line));
  await shop.clock.advance(100);

  const { gatewayOrders, ordersUsers, gatewayUsers } = shop.links;
  const recorded = [...gatewayOrders.frames, ...ordersUsers.frames].join("\n");
  // It is a recording of what it should be.
  for (const said of ["createOrder", "cancelOrder", "listOrders", "Laptop", '"total":4999.99', "Server"]) {
    expect(gatewayOrders.frames.join("\n")).toContain(said);
  }
  for (const said of ["withdraw", "getId", "hasPermission", "order.create", "order.cancel", "order.view", '"user2"']) {
    expect(ordersUsers.frames.join("\n")).toContain(said);
  }
  expect(printed).toContain("=== Demo Complete ===");
  expect(tokens).toHaveLength(2);

  for (const secret of [...tokens, demoPassword]) {
    // Where it belongs, it is seen: so it would be seen here.
    expect(gatewayUsers.frames.join("\n")).toContain(secret);
    expect(recorded).not.toContain(secret);
  }
});

function notingTokens(client: GatewayClient): { client: GatewayClient; tokens: string[] } {
  const tokens: string[] = [];
  const noting: GatewayClient = {
    ...client,
    async login(username, password) {
      const login = await client.login(username, password);
      tokens.push(login.token);
      return login;
    },
  };
  return { client: noting, tokens };
}
