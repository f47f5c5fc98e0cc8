import { newHttpBatchRpcSession, newWebSocketRpcSession, type RpcStub } from "capnweb";
import type { Client } from "../../client.ts";
import type * as api from "./api.ts";
import { socketTo } from "./serve.ts";

/** One WebSocket; with `BENCH_CLIENT=batch`, a batch per call over `fetch` and the connections that it keeps. */
export async function open(gatewayAddress: string): Promise<Client> {
  if (process.env.BENCH_CLIENT === "batch") {
    const url = `http://${gatewayAddress}/`;
    return { ...callsOf(() => newHttpBatchRpcSession<api.Gateway>(url)), close: async () => {} };
  }
  const gateway = newWebSocketRpcSession<api.Gateway>(socketTo(gatewayAddress));
  return { ...callsOf(() => gateway), close: async () => gateway[Symbol.dispose]() };
}

function callsOf(gateway: () => RpcStub<api.Gateway>): Pick<Client, "login" | "createOrder"> {
  return {
    login: async (username, password) => await gateway().login(username, password),
    createOrder: async (token, items, idempotencyKey) => await gateway().createOrder(token, items, idempotencyKey),
  };
}
