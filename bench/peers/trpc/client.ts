import type { Item } from "../../work.ts";
import type { Client } from "../process.ts";
import type { GatewayRouter } from "./gateway.ts";
import { dial } from "./wire.ts";

export async function open(gatewayAddress: string): Promise<Client> {
  const { api, wsClient } = dial<GatewayRouter>(gatewayAddress);
  return {
    login: (username, password) => api.login.mutate({ username, password }),
    createOrder: (token, items, idempotencyKey) =>
      api.createOrder.mutate({ token, items: items as Item[], idempotencyKey }),
    close: () => wsClient.close(),
  };
}
