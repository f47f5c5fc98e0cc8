import type { Client } from "../../client.ts";
import { dial } from "./wire.ts";

export async function open(gatewayAddress: string): Promise<Client> {
  const gateway = await dial(gatewayAddress);
  return {
    login: (username, password) => gateway.call("login", username, password),
    createOrder: (token, items, idempotencyKey) => gateway.call("createOrder", token, items, idempotencyKey),
    close: async () => gateway.close(),
  };
}
