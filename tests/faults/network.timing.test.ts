import { readFileSync } from "node:fs";
import { type Connection, connect, hasCode, withContext } from "@flotilla/kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import type { Item } from "../../shop/contracts/orders.ts";
import { isReady } from "../../shop/supervisor/readiness.ts";
import { patiently } from "../gateway-clients.ts";
import { until } from "../process-harness.ts";
import { makeRandom } from "../random.ts";
import { sendCustomers } from "./customers.ts";
import { violations } from "./history.ts";
import { ratesMax } from "./kills.ts";
import { linkNames, type Network, startNetwork } from "./network.ts";
import { type Direction, fairWeather } from "./proxy.ts";

const items: Item[] = [{ name: "Laptop", quantity: 1, price: 999.99 }];
/** What a busy machine adds to anything. Far below the deadline of a call that nobody gave one: 10 s. Milliseconds. */
const busyMsMax = 3_000;

let network: Network;
let client: Connection<Gateway>;
let token = "";

beforeAll(async () => {
  network = await startNetwork(makeRandom(7), { env: ratesMax });
  client = connect<Gateway>({ name: "gateway", url: network.url });
  token = (await patiently(() => client.main.login("bob", "password"))).token;
  await order();
});

afterAll(async () => {
  client.close();
  await network[Symbol.asyncDispose]();
});

interface Ended {
  readonly code: string | undefined;
  readonly tookMs: number;
}

/** How a call ended, and after how long. While there is too much to do it is sent again: no weather makes that. */
async function endOf(call: () => PromiseLike<unknown>): Promise<Ended> {
  let startedAtMs = 0;
  const timed = () => {
    startedAtMs = performance.now();
    return call();
  };
  const code = await patiently(timed).then(
    () => undefined,
    (error: unknown) => (error instanceof Error && "code" in error ? String(error.code) : String(error)),
  );
  return { code, tookMs: performance.now() - startedAtMs };
}

/** Attempts of one order, all with one key. */
function order(key: string = crypto.randomUUID()) {
  return patiently(() => client.main.createOrder(token, items, key));
}

const listed = () => patiently(() => client.main.listOrders(token));

/** Fair weather, and everybody has found everybody again. */
async function heal(): Promise<void> {
  for (const name of linkNames) {
    network.links[name].setWeather(fairWeather);
    await network.links[name].accept();
  }
  await network.shop.ready();
  await until(() => client.isOpen, "the client is connected");
}

describe("a service that refuses connections", () => {
  test("costs its callers an error at once, and nobody else anything; it is found again when it is back", async () => {
    const link = network.links["gateway-orders"];
    await link.refuse();
    link.reset();
    const ends: Ended[] = [];
    await until(async () => {
      ends.push(await endOf(order));
      return ends.length >= 20;
    }, "twenty orders are refused");
    expect(ends.map(({ code }) => code)).toEqual(Array(20).fill("unavailable"));
    for (const { tookMs } of ends) expect(tookMs).toBeLessThan(busyMsMax);
    expect(await patiently(() => client.main.getUserProfile(token))).toMatchObject({ username: "bob" });
    await heal();
    expect(await order()).toMatchObject({ status: "pending" });
  });

  test.each(linkNames)("a reset of %s in the midst of a call leaves one order for its key", async (name) => {
    const link = network.links[name];
    // Late, so that the reset comes while the call is under way.
    link.setWeather({ latencyMs: 60 });
    const key = crypto.randomUUID();
    // An order of a user who is known at the Order Service needs no link between gateway and users: a profile does.
    const first = endOf(() =>
      Promise.all([client.main.createOrder(token, items, key), client.main.getUserProfile(token)]),
    );
    await until(() => link.heldBytes > 0, "something is under way");
    link.reset();
    expect(["unavailable", undefined]).toContain((await first).code);
    await heal();
    const before = await listed();
    const { orderId } = await order(key);
    const after = await listed();
    expect(after.filter((it) => it.orderId === orderId)).toHaveLength(1);
    expect(after.length - before.length).toBeLessThanOrEqual(1);
    expect((await order(key)).orderId).toBe(orderId);
  });

  test.each(["there", "back"] as Direction[])("half closed (%s), a link is opened anew", async (direction) => {
    for (const name of linkNames) network.links[name].halfClose(direction);
    const heard = await endOf(order);
    expect(["unavailable", undefined]).toContain(heard.code);
    expect(heard.tookMs).toBeLessThan(busyMsMax);
    await until(async () => (await endOf(order)).code === undefined, "orders are placed again");
    await heal();
  });
});

describe("a slow network", () => {
  test.each([
    { latencyMs: 50, timeoutMs: 10_000, code: undefined },
    { latencyMs: 500, timeoutMs: 10_000, code: undefined },
    { latencyMs: 500, timeoutMs: 300, code: "deadline_exceeded" },
    { latencyMs: 5_000, timeoutMs: 1_000, code: "deadline_exceeded" },
  ])("$latencyMs ms late, a call with $timeoutMs ms ends as $code by its deadline", async (it) => {
    network.links["gateway-orders"].setWeather({ latencyMs: it.latencyMs, jitterMs: it.latencyMs / 5 });
    // Some of ten wait for a turn of their session. One that has waited for half of its time is refused, and sent again.
    const calls = Array.from({ length: 10 }, () => {
      const key = crypto.randomUUID();
      const call = () => client.main.createOrder(token, items, key);
      return endOf(() => withContext({ timeoutMs: it.timeoutMs }, call));
    });
    const ends = await Promise.all(calls).finally(heal);
    for (const { code, tookMs } of ends) {
      expect(code).toBe(it.code);
      expect(tookMs).toBeLessThan(it.timeoutMs + busyMsMax);
    }
  });

  test("with 1 Mbit/s for answers of a hundred times that, memory does not grow with them, and all are answered", async () => {
    // The weather before may have cost somebody a session that nobody misses yet.
    await until(async () => (await endOf(order)).code === undefined, "an order is placed");
    for (let i = 0; i < 2; i += 1) await Promise.all(Array.from({ length: 300 }, () => order()));
    network.links["client-gateway"].setWeather({ bytesPerSecond: 125_000 });
    const pid = network.shop.pidOf("gateway")!;
    const before = residentBytes(pid);
    let most = before;
    let answered = 0;
    // Each page of 600 orders is about 40 KB: half a megabyte is asked for, and a second brings an eighth of one.
    const calls = Array.from({ length: 12 }, () =>
      withContext({ timeoutMs: 30_000 }, listed).then(
        () => (answered += 1),
        (error: unknown) => expect(hasCode(error, "deadline_exceeded") || hasCode(error, "unavailable")).toBe(true),
      ),
    );
    await until(() => {
      most = Math.max(most, residentBytes(pid));
      return answered >= 10;
    }, "most of the pages are read");
    network.links["client-gateway"].setWeather(fairWeather);
    await Promise.all(calls);
    expect(answered).toBe(12);
    expect(most - before).toBeLessThan(50 * 2 ** 20);
  });
});

/** Of the system's account of the process; 0 where there is none. */
function residentBytes(pid: number): number {
  if (process.platform !== "linux") return 0;
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1_024;
}

test("a link that passes nothing in one direction is given up by both sides, and no order is placed twice", async () => {
  using customers = await sendCustomers(network.url, 2);
  const { history } = customers;
  const acknowledged = () => history.intents.filter((it) => it.acknowledged).length;
  await until(() => acknowledged() > 10, "orders are placed");
  const link = network.links["gateway-orders"];
  const sessions = async () => (await network.shop.stats("orders")).server.sessions;
  expect(await sessions()).toBe(1);
  const startedAtMs = performance.now();
  link.setWeather({ stalled: ["there"] });
  const gaveUpMs: number[] = [];
  await Promise.all([
    until(async () => !(await isReady(network.shop.urls.gateway)), "the gateway gives it up").then(() =>
      gaveUpMs.push(performance.now() - startedAtMs),
    ),
    until(async () => (await sessions()) === 0, "the Order Service gives it up").then(() =>
      gaveUpMs.push(performance.now() - startedAtMs),
    ),
  ]);
  // A ping after 4.5 s, 2 s for its answer.
  for (const tookMs of gaveUpMs) expect(tookMs).toBeLessThan(7_000 + busyMsMax);
  await heal();
  const known = acknowledged();
  await until(() => acknowledged() > known + 10, "orders are placed again");
  await customers.finish();
  const [, ...others] = new Set((await customers.stored()).map(({ total }) => total === items[0]!.price));
  expect(others).toHaveLength(1);
  const ofCustomers = (await customers.stored()).filter(({ total }) => total !== items[0]!.price);
  expect(violations(history, ofCustomers)).toEqual([]);
});
