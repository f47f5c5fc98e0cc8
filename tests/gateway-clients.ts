import { setTimeout as sleep } from "node:timers/promises";
import { hasCode } from "@flotilla/kit";
import { newHttpBatchRpcSession, newWebSocketRpcSession, type RpcStub } from "capnweb";
import type { GatewayClient } from "../shop/cli/gateway-client.ts";
import type { Gateway } from "../shop/contracts/gateway.ts";
import type { CreatedOrder, Item } from "../shop/contracts/orders.ts";

/** For a refusal that names no wait. Milliseconds. */
export const overloadRetryMs = 500;

/** The gateway as its clients see it, with the optional key. */
export interface TestClient extends GatewayClient, Disposable {
  createOrder(token: string, items: Item[], idempotencyKey?: string): Promise<CreatedOrder>;
}

/**
 * Makes `call`, and again after the wait that its refusal names for as long as the server has too much to do: what a
 * busy machine refuses so is no fault. A call that changes something carries an idempotency key.
 */
export async function patiently<R>(call: () => PromiseLike<R>): Promise<R> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!hasCode(error, "resource_exhausted")) throw error;
      const { retryAfterMs } = error as { retryAfterMs?: number };
      await sleep(retryAfterMs ?? overloadRetryMs);
    }
  }
}

/** Stock capnweb, one HTTP batch per call; with `connection: "close"` each on a TCP connection of its own. */
export function batchClient(url: string, headers: Record<string, string> = {}): TestClient {
  return clientOf(async (call) => {
    using gateway = newHttpBatchRpcSession<Gateway>(new Request(`${url}/rpc/batch`, { headers }));
    return await call(gateway);
  });
}

/** Stock capnweb on one WebSocket, which ends with the client. */
export function webSocketClient(url: string): TestClient {
  const gateway = newWebSocketRpcSession<Gateway>(`${url.replace("http", "ws")}/rpc`);
  return clientOf(
    async (call) => await call(gateway),
    () => gateway[Symbol.dispose](),
  );
}

function clientOf(
  run: <T>(call: (gateway: RpcStub<Gateway>) => PromiseLike<T>) => Promise<T>,
  dispose = () => {},
): TestClient {
  return {
    login: (username, password) => run((gateway) => gateway.login(username, password)),
    getUserProfile: (token) => run((gateway) => gateway.getUserProfile(token)),
    listUsers: (token) => run((gateway) => gateway.listUsers(token)),
    createOrder: (token, items, ...key) => run((gateway) => gateway.createOrder(token, items, ...key)),
    listOrders: (token) => run((gateway) => gateway.listOrders(token)),
    cancelOrder: (token, orderId) => run((gateway) => gateway.cancelOrder(token, orderId)),
    [Symbol.dispose]: dispose,
  };
}

/** The wire's own words, as a client in another language writes them. `headers` is all that is sent of headers. */
export function rawClient(url: string, headers: Record<string, string>): TestClient {
  const call = async <T>(method: string, ...args: unknown[]): Promise<T> => {
    const [answer] = await postLines(url, headers, callLines(method, args));
    const [kind, , value] = answer as [string, number, unknown];
    if (kind === "resolve") return fromWire(value) as T;
    const [, name, message] = value as [string, string, string];
    throw Object.assign(new Error(message), { code: name });
  };
  return {
    login: (...args) => call("login", ...args),
    getUserProfile: (...args) => call("getUserProfile", ...args),
    listUsers: (...args) => call("listUsers", ...args),
    createOrder: (...args) => call("createOrder", ...args),
    listOrders: (...args) => call("listOrders", ...args),
    cancelOrder: (...args) => call("cancelOrder", ...args),
    [Symbol.dispose]: () => {},
  };
}

/** One call and the wish for its result. */
export function callLines(method: string, args: readonly unknown[]): string {
  return `${JSON.stringify(["push", ["pipeline", 0, [method], args.map(toWire)]])}\n["pull",1]\n`;
}

/** The messages of the answer. */
export async function postLines(url: string, headers: Record<string, string>, body: string): Promise<unknown[]> {
  // A Buffer, because fetch would give a string a content type.
  const response = await fetch(`${url}/rpc/batch`, { method: "POST", headers, body: Buffer.from(body) });
  const text = await response.text();
  if (response.status !== 200) throw Object.assign(new Error(text), { status: response.status });
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown);
}

/** An array is written as an array in an array, because the bare ones are expressions. */
function toWire(value: unknown): unknown {
  return Array.isArray(value) ? [value.map(toWire)] : value;
}

function fromWire(value: unknown): unknown {
  if (Array.isArray(value)) return (value[0] as unknown[]).map(fromWire);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromWire(item)]));
}
