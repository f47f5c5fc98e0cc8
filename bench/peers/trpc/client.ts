import { createTRPCClient, wsLink } from "@trpc/client";
import type { Client } from "../../client.ts";
import type { GatewayRouter } from "./gateway.ts";
import { socketTo } from "./wire.ts";

export async function open(gatewayAddress: string): Promise<Client> {
  const socket = socketTo(gatewayAddress);
  const gateway = createTRPCClient<GatewayRouter>({ links: [wsLink({ client: socket })] });
  return {
    login: (username, password) => gateway.login.mutate({ username, password }),
    createOrder: (token, items, idempotencyKey) =>
      gateway.createOrder.mutate({ token, items: [...items], idempotencyKey }),
    close: () => socket.close(),
  };
}
