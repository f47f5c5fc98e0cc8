import { once } from "node:events";
import { request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import type { Item } from "../../shop/contracts/orders.ts";
import type { ServiceName } from "../../shop/topology.ts";
import { batchClient, callLines, webSocketClient } from "../gateway-clients.ts";
import { type Processes, type Stats, startProcesses, untilEqual } from "../process-harness.ts";
import type { Probe } from "./probe.ts";

const items: Item[] = [{ name: "Laptop", quantity: 1, price: 999.99 }];
const people = ["alice", "bob", "charlie"];
const inside: readonly ServiceName[] = ["users", "orders"];
const all: readonly ServiceName[] = [...inside, "gateway"];

const ordersEach = 1_000;
const abortedEach = 100;
const parallel = 32;

type Of<T> = Partial<Record<ServiceName, T>>;

async function statsOf(shop: Processes, names: readonly ServiceName[]): Promise<Of<Stats>> {
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await shop.stats(name)] as const)));
}

/** Timers apart, of which there are few: of each session one that a call set may wait, for nothing, until its deadline. */
async function livesIn(shop: Processes, names: readonly ServiceName[]): Promise<Of<Omit<Probe, "timers">>> {
  const lives: Of<Omit<Probe, "timers">> = {};
  for (const name of names) {
    const { timers, ...rest } = await shop.probe(name);
    expect(timers).toBeLessThan(30);
    lives[name] = rest;
  }
  // Who was counted for too long was given up by its peers.
  await shop.ready();
  return lives;
}

async function inParallel(count: number, run: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      next += 1;
      await run(next);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

/** Sends an order and is gone before it can be answered. */
async function abortWebSocket(url: string, body: string): Promise<void> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/rpc`);
  await once(socket, "open");
  await Promise.all(
    body
      .trim()
      .split("\n")
      .map((line) => new Promise((resolve) => socket.send(line, resolve))),
  );
  socket.terminate();
  await once(socket, "close");
}

async function abortBatch(url: string, body: string): Promise<void> {
  const call = request(`${url}/rpc/batch`, { method: "POST", agent: false });
  call.on("error", () => {});
  await new Promise<void>((resolve) => call.end(body, resolve));
  call.destroy();
  await new Promise<void>((resolve) => call.once("close", resolve));
}

/** An address begins so many batches a second; a client with more to send retries when the refusal says. */
async function admitted<T>(run: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await run();
    } catch (error) {
      const [, waitMs] = /: 429 resource_exhausted, session_rate, try again in (\d+) ms$/.exec(String(error)) ?? [];
      if (waitMs === undefined) throw error;
      await delay(Number(waitMs));
    }
  }
}

interface Load {
  readonly orders: number;
  readonly aborted: number;
}

/** Orders of everybody over both transports, and as many clients of each that go away in the middle of theirs. */
async function load(shop: Processes, tokens: readonly string[], { orders, aborted }: Load): Promise<void> {
  const url = shop.urls.gateway;
  const tokenOf = (index: number) => tokens[index % tokens.length]!;
  {
    using client = webSocketClient(url);
    await inParallel(orders, (index) => client.createOrder(tokenOf(index), items));
  }
  // First, so that none of them is refused for the batches before it.
  await inParallel(aborted, (index) => abortWebSocket(url, callLines("createOrder", [tokenOf(index), items])));
  await inParallel(aborted, (index) => abortBatch(url, callLines("createOrder", [tokenOf(index), items])));
  using client = batchClient(url, { connection: "close" });
  await inParallel(orders, (index) => admitted(() => client.createOrder(tokenOf(index), items)));
  const asked = tokens.flatMap((token) => [() => client.getUserProfile(token), () => client.listUsers(token)]);
  await Promise.all(asked.map((ask) => admitted<unknown>(ask)));
}

async function logins(shop: Processes): Promise<string[]> {
  using client = batchClient(shop.urls.gateway, { connection: "close" });
  const answers = await Promise.all(people.map((name) => admitted(() => client.login(name, "password"))));
  return answers.map(({ token }) => token);
}

/** `stats` with `count` live introductions: each an export of users, an import of the gateway, and a deposit. */
function withIntroductions({ users, orders, gateway }: Of<Stats>, count: number): Of<Stats> {
  return {
    users: {
      ...users!,
      server: { ...users!.server, exports: users!.server.exports + count },
      home: { ...users!.home!, deposits: users!.home!.deposits + count },
      revokers: users!.revokers! + count,
    },
    orders: orders!,
    gateway: {
      ...gateway!,
      users: { ...gateway!.users!, imports: gateway!.users!.imports + count },
      introductions: gateway!.introductions! + count,
    },
  };
}

test("after 1,000 orders over each transport and 200 aborted ones nothing is held but the live introductions", async () => {
  await using shop = await startProcesses();
  const atStart = await statsOf(shop, all);

  // What is made once (a class per contract, and the like) is made by a first, small load.
  const tokens = await logins(shop);
  await load(shop, tokens, { orders: 10, aborted: 10 });
  await untilEqual(() => statsOf(shop, all), withIntroductions(atStart, people.length));
  const before = await livesIn(shop, all);

  await load(shop, tokens, { orders: ordersEach, aborted: abortedEach });
  await untilEqual(() => statsOf(shop, all), withIntroductions(atStart, people.length));
  await untilEqual(() => livesIn(shop, all), before);

  // Every acknowledged order was placed; of those that were aborted each may have been.
  using client = batchClient(shop.urls.gateway, { connection: "close" });
  const placed = await Promise.all(tokens.map((token) => admitted(() => client.listOrders(token))));
  expect(placed.flat().length).toBeGreaterThanOrEqual(2 * ordersEach);
}, 120_000);

test("once the introductions end, with the gateway that made them, users and orders are exactly at their start", async () => {
  // They also end by themselves, after 15 minutes or with the token: tests/introduction.test.ts lets that time pass.
  await using shop = await startProcesses({ start: inside });
  await untilEqual(async () => (await shop.stats("users")).server.sessions, 1);
  const atStart = await statsOf(shop, inside);
  const run = async (size: Load) => {
    await shop.start("gateway");
    await shop.ready();
    await load(shop, await logins(shop), size);
    expect((await shop.stats("users")).home?.deposits).toBe(people.length);
    expect(await shop.stop("gateway")).toBe(0);
    await untilEqual(() => statsOf(shop, inside), atStart);
  };
  await run({ orders: 10, aborted: 10 });
  const before = await livesIn(shop, inside);
  await run({ orders: 100, aborted: 20 });
  await untilEqual(() => livesIn(shop, inside), before);
}, 120_000);
