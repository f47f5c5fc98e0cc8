import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { reasonOf } from "@flotilla/kit";
import { webSocketClient } from "../gateway-clients.ts";

/** What somebody noticed who now and then places an order beside a crowd. Milliseconds, one value for each order. */
export interface Noticed {
  readonly placedMs: readonly number[];
  /** Of those that were refused for too much to do. */
  readonly refusedMs: readonly number[];
  /** For another reason. */
  readonly failed: number;
}

interface Bystander extends AsyncDisposable {
  /** No further orders. Rejects with what the thread ended of, if it did. */
  finish(): Promise<Noticed>;
}

interface Place {
  readonly url: string;
  readonly token: string;
}

/** Between two orders. Milliseconds. */
const everyMs = 20;
const items = [{ name: "Lamp", quantity: 1, price: 29.99 }];

/**
 * A stock client in a thread of its own, whose times are those of the system and not of who makes the load, and which is
 * never spared a call as connections of the kit are.
 */
export async function startBystander(place: Place): Promise<Bystander> {
  const thread = new Worker(new URL(import.meta.url), { workerData: place });
  const failed = once(thread, "error").then(([error]) => Promise.reject(error as Error));
  failed.catch(() => {});
  const said = async <T>() => (await Promise.race([once(thread, "message"), failed]))[0] as T;
  await said();
  return {
    async finish() {
      thread.postMessage("finish");
      return await said<Noticed>();
    },
    async [Symbol.asyncDispose]() {
      await thread.terminate();
    },
  };
}

if (!isMainThread && parentPort && isPlace(workerData)) await placeOrders(workerData);

function isPlace(data: unknown): data is Place {
  return typeof data === "object" && data !== null && "token" in data;
}

async function placeOrders({ url, token }: Place): Promise<void> {
  const placedMs: number[] = [];
  const refusedMs: number[] = [];
  let failed = 0;
  const underWay = new Set<Promise<void>>();
  let isOver = false;
  parentPort!.once("message", () => {
    isOver = true;
  });
  using client = webSocketClient(url);
  // Connected, and what it takes is compiled.
  await client.getUserProfile(token);
  parentPort!.postMessage("ready");
  while (!isOver) {
    const order = placeOne().finally(() => underWay.delete(order));
    underWay.add(order);
    await sleep(everyMs);
  }
  await Promise.all(underWay);
  parentPort!.postMessage({ placedMs, refusedMs, failed } satisfies Noticed);

  async function placeOne(): Promise<void> {
    const startMs = performance.now();
    try {
      await client.createOrder(token, items);
      placedMs.push(performance.now() - startMs);
    } catch (error) {
      if (reasonOf(error) === "overloaded") refusedMs.push(performance.now() - startMs);
      else failed += 1;
    }
  }
}
