// An honest customer in a process of its own, so that what an attacker's process is busy with delays it by nothing.
// Started by target.ts with the gateway's URL and the pause between two calls in milliseconds.
import { setTimeout as delay } from "node:timers/promises";
import { webSocketClient } from "../gateway-clients.ts";

export interface HonestCall {
  readonly method: "createOrder" | "listOrders";
  readonly tookMs: number;
  /** What went wrong; undefined for a call that succeeded. */
  readonly failure?: string;
}

export type FromHonest =
  | { readonly type: "ready"; readonly token: string }
  | { readonly type: "called"; readonly count: number }
  | { readonly type: "report"; readonly calls: readonly HonestCall[] };
export type ToHonest = { readonly type: "begin" } | { readonly type: "end" };

/** Orders of one customer stay few, so that a list costs the same in each round. */
const keysMax = 200;

const [, , url = "", pauseMs = "20"] = process.argv;
const items = [{ name: "Mouse", quantity: 1, price: 29.99 }];
const client = webSocketClient(url);
const { token } = await client.login("bob", "password");
let calls: HonestCall[] = [];
let isOn = false;
let made = 0;

await client.createOrder(token, items, "key0");
say({ type: "ready", token });

process.on("message", ({ type }: ToHonest) => {
  isOn = type === "begin";
  if (isOn) void shop();
});
process.once("disconnect", () => process.exit());

async function shop(): Promise<void> {
  calls = [];
  while (isOn) {
    made += 1;
    await call("createOrder", () => client.createOrder(token, items, `key${made % keysMax}`));
    await delay(Number(pauseMs));
    await call("listOrders", () => client.listOrders(token));
    await delay(Number(pauseMs));
  }
  say({ type: "report", calls });
}

async function call(method: HonestCall["method"], run: () => Promise<unknown>): Promise<void> {
  const startMs = performance.now();
  const failure = await run().then(
    () => undefined,
    (error: unknown) => String(error),
  );
  calls.push({ method, tookMs: performance.now() - startMs, ...(failure !== undefined && { failure }) });
  say({ type: "called", count: calls.length });
}

function say(message: FromHonest): void {
  process.send?.(message);
}
