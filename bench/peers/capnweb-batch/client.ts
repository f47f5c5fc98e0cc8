import { newHttpBatchRpcSession } from "capnweb";
import type * as api from "../capnweb/api.ts";
import type { Client, Order } from "../process.ts";

/** A batch per call, over `fetch` and the connections that it keeps. */
export async function open(gatewayAddress: string): Promise<Client> {
  const batch = () => newHttpBatchRpcSession<api.Gateway>(`http://${gatewayAddress}/`);
  return {
    login: async (username, password) => await batch().login(username, password),
    createOrder: async (token, items, idempotencyKey) =>
      (await batch().createOrder(token, items, idempotencyKey)) as unknown as Order,
    close: async () => {},
  };
}
