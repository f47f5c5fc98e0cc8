import type { RpcStub } from "capnweb";
import type { GatewayClient } from "../shop/cli/gateway-client.ts";
import type { Gateway } from "../shop/contracts/gateway.ts";
import type { CreatedOrder, Item } from "../shop/contracts/orders.ts";
import { newestStock } from "./stock-versions.ts";

/** The gateway as its clients see it, with the optional key. */
export interface TestClient extends GatewayClient, Disposable {
  createOrder(token: string, items: Item[], idempotencyKey?: string): Promise<CreatedOrder>;
}

/** Whether a busy machine refused the call before it was begun, which is no fault. */
export function isShed(error: unknown): boolean {
  const { reason = "" } = (error ?? {}) as { reason?: string };
  return ["overloaded", "destination_busy", "passwords_busy"].includes(reason);
}

/**
 * Makes `call` until it is not shed, forty times at most, each after the wait that the refusal names. A page gets the text
 * of both functions (browser.test.ts), so they use nothing else.
 */
export async function patiently<R>(call: () => PromiseLike<R>): Promise<R> {
  for (let triesLeft = 39; ; triesLeft -= 1) {
    try {
      return await call();
    } catch (error) {
      if (!isShed(error) || triesLeft === 0) throw error;
      const { retryAfterMs = 500 } = error as { retryAfterMs?: number };
      await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
    }
  }
}

/** Stock capnweb, one HTTP batch per call; with `connection: "close"` each on a TCP connection of its own. */
export function batchClient(url: string, headers: Record<string, string> = {}, { stock } = newestStock): TestClient {
  return clientOf(async (call) => {
    using gateway = stock.newHttpBatchRpcSession<Gateway>(new Request(`${url}/rpc/batch`, { headers }));
    return await call(gateway);
  });
}

/** Stock capnweb on one WebSocket, which ends with the client. */
export function webSocketClient(url: string, { stock } = newestStock): TestClient {
  const gateway = stock.newWebSocketRpcSession<Gateway>(`${url.replace("http", "ws")}/rpc`);
  return clientOf(
    async (call) => await call(gateway),
    () => gateway[Symbol.dispose](),
  );
}

/** `client`, whose calls are each made `patiently`. It owns `client`. */
export function patient(client: TestClient): TestClient {
  return clientOf(
    (call) => patiently(() => call(client)),
    () => client[Symbol.dispose](),
  );
}

function clientOf(
  run: <T>(call: (gateway: RpcStub<Gateway> | TestClient) => PromiseLike<T>) => Promise<T>,
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
    const error = errorIn(answer);
    if (error) throw error;
    return fromWire((answer as [string, number, unknown])[2]) as T;
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

/** The messages of the answer. A body whose first call is shed is posted again, as by `patiently`. */
export async function postLines(url: string, headers: Record<string, string>, body: string): Promise<unknown[]> {
  let answers: unknown[] = [];
  await patiently(async () => {
    answers = await postOnce(url, headers, body);
    const error = errorIn(answers[0]);
    if (isShed(error)) throw error;
  });
  return answers;
}

async function postOnce(url: string, headers: Record<string, string>, body: string): Promise<unknown[]> {
  // A Buffer, because fetch would give a string a content type.
  const response = await fetch(`${url}/rpc/batch`, { method: "POST", headers, body: Buffer.from(body) });
  const text = await response.text();
  if (response.status !== 200) throw Object.assign(new Error(text), { status: response.status });
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown);
}

/** The error that a "reject" message carries. */
function errorIn(message: unknown): Error | undefined {
  const [kind, , value] = (message ?? []) as [string?, number?, unknown?];
  if (kind !== "reject") return undefined;
  const [, code, text, , fields] = value as [string, string, string, null, object];
  return Object.assign(new Error(text), { code }, fields);
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
