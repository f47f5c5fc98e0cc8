import { newHttpBatchRpcSession, newWebSocketRpcSession, type RpcStub } from "capnweb";
import type { Client } from "../../client.ts";
import type * as api from "./api.ts";
import { socketTo } from "./serve.ts";

/** `BENCH_CLIENT=batch`: a batch for every call, over `fetch` and the connections that it keeps; else one WebSocket. */
const isBatch = process.env.BENCH_CLIENT === "batch";

export async function open(gatewayAddress: string): Promise<Client> {
  if (isBatch)
    return clientOf(
      () => newHttpBatchRpcSession<api.Gateway>(`http://${gatewayAddress}/`),
      async () => {},
    );
  const gateway = newWebSocketRpcSession<api.Gateway>(socketTo(gatewayAddress));
  return clientOf(
    () => gateway,
    async () => gateway[Symbol.dispose](),
  );
}

function clientOf(gateway: () => RpcStub<api.Gateway>, close: () => Promise<void>): Client {
  return {
    login: async (username, password) => await gateway().login(username, password),
    createOrder: async (token, items, idempotencyKey) => await gateway().createOrder(token, items, idempotencyKey),
    close,
  };
}
