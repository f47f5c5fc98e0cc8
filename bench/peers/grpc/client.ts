import type { Client } from "../../client.ts";
import { dial } from "./wire.ts";

export async function open(gatewayAddress: string): Promise<Client> {
  const gateway = dial("Gateway", gatewayAddress);
  return {
    login: async (username, password) => (await gateway.call("Login", { username, password })).token,
    // The token is a parameter of the specified method, so it is a field.
    createOrder: (token, items, idempotencyKey) => gateway.call("CreateOrder", { token, items, idempotencyKey }),
    close: async () => gateway.close(),
  };
}
