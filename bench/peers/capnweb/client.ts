import { newWebSocketRpcSession } from "capnweb";
import type { Client, Order } from "../process.ts";
import type * as api from "./api.ts";
import { socketTo } from "./serve.ts";

export async function open(gatewayAddress: string): Promise<Client> {
  const gateway = newWebSocketRpcSession<api.Gateway>(socketTo(gatewayAddress));
  return {
    login: async (username, password) => await gateway.login(username, password),
    createOrder: async (token, items, idempotencyKey) =>
      (await gateway.createOrder(token, items, idempotencyKey)) as unknown as Order,
    close: async () => gateway[Symbol.dispose](),
  };
}
