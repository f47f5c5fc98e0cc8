import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { type Connection, connect } from "@flotilla/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import { isReady } from "../../shop/supervisor/readiness.ts";
import { type ServiceName, serviceNames } from "../../shop/topology.ts";
import { patiently } from "../gateway-clients.ts";
import { blockMs, chatterBytes } from "../process/harm.ts";
import { until } from "../process-harness.ts";
import { type Customers, sendCustomers } from "./customers.ts";
import { violations } from "./history.ts";
import { type Supervised, startSupervised } from "./supervised.ts";

/** Twice what a service has after a while. */
const heapMegabytes = 80;
/** A process whose event loop is later than this says that it is not ready. Seconds. */
const lateSecondsMin = 2;

let shop: Supervised;
let customers: Customers;
let alice: Connection<Gateway>;
let token = "";

beforeAll(async () => {
  shop = await startSupervised(heapMegabytes);
  customers = await sendCustomers(shop.urls.gateway, 2);
  alice = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
  token = (await alice.main.login("alice", "password")).token;
});

afterAll(async () => {
  customers[Symbol.dispose]();
  alice.close();
  await shop[Symbol.asyncDispose]();
});

function writtenBytes(pid: number): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

/** Orders are placed that were begun from now on. */
async function ordersGoOn(count = 20): Promise<void> {
  const { intents } = customers.history;
  const known = intents.length;
  const placed = () => intents.slice(known).filter(({ acknowledged }) => acknowledged).length;
  await until(() => placed() >= count, "orders are placed");
}

const pids = () => Promise.all(serviceNames.map((name) => shop.harm(name, "pid")));

async function figure(name: ServiceName, what: string): Promise<number> {
  const text = await (await fetch(`${shop.opsUrls[name]}/metrics`)).text();
  return Number(new RegExp(`^flotilla_${what}\\{[^}]*\\} (\\S+)$`, "m").exec(text)?.[1]);
}

async function statusOf(name: ServiceName): Promise<unknown> {
  return ((await (await fetch(`${shop.urls[name]}/readyz`)).json()) as { status: unknown }).status;
}

test("an event loop that is held up for three seconds says so afterwards, and keeps nobody from what does not need it", async () => {
  await ordersGoOn();
  const before = await pids();
  const startedAtMs = performance.now();
  await shop.harm("orders", "block");
  const probe = isReady(shop.urls.orders);
  let beside = 0;
  while (performance.now() - startedAtMs < blockMs * 0.8) {
    expect(await patiently(() => alice.main.getUserProfile(token))).toMatchObject({ username: "alice" });
    beside += 1;
  }
  // It was asked, and did not answer: whoever waits for it is not left waiting.
  expect(await probe).toBe(false);
  expect(beside).toBeGreaterThan(10);
  expect(await statusOf("orders")).toBe("late");
  expect(await figure("orders", "loop_lag_seconds")).toBeGreaterThan(lateSecondsMin);
  await until(() => isReady(shop.urls.orders), "it is ready again");
  await ordersGoOn();
  expect(await figure("orders", "loop_lag_seconds")).toBeLessThan(lateSecondsMin);
  expect(await pids()).toEqual(before);
});

test("a log that nobody reads holds up neither the supervisor nor a service", async () => {
  shop.read(false);
  const pid = await shop.harm("users", "chatter");
  // Orders may go on without it for a moment, and what it has not written yet is lost with it.
  await until(() => writtenBytes(pid) >= chatterBytes, "it has said everything");
  await ordersGoOn();
  // A supervisor that waits for its reader would start nothing.
  process.kill(pid, "SIGKILL");
  await shop.restarted("users", pid);
  await ordersGoOn();
  shop.read(true);
  await until(async () => {
    await shop.harm("users", "mutter");
    return /\(\d+ messages that nobody read were dropped\)/.test(shop.output());
  }, "it says that it has dropped some");
});

const canLimit = spawnSync("prlimit", ["--version"]).status === 0;

test.skipIf(!canLimit)(
  "a gateway that may open no more files goes on with the sessions it has, and has new ones later",
  async () => {
    const before = await pids();
    const pid = await shop.harm("gateway", "pid");
    const limit = (files: number) => execFileSync("prlimit", ["--pid", `${pid}`, `--nofile=${files}:`]);
    limit(readdirSync(`/proc/${pid}/fd`).length);
    const others: Connection<Gateway>[] = [];
    try {
      await until(() => {
        const other = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
        others.push(other);
        return other.opened().then(
          () => false,
          () => true,
        );
      }, "somebody is not let in");
      await ordersGoOn();
      expect(others.at(-1)!.isOpen).toBe(false);
      limit(20_000);
      await until(() => others.every(({ isOpen }) => isOpen), "they are let in");
      expect(await pids()).toEqual(before);
    } finally {
      for (const other of others) other.close();
    }
  },
);

test.each([
  { service: "orders", harm: "throw", said: "a fault that nobody expected" },
  { service: "gateway", harm: "reject", said: "a promise that nobody waits for" },
] as const)("a fault that nobody expected ($harm in $service) is logged, and ends that process only", async (it) => {
  const others = serviceNames.filter((name) => name !== it.service);
  const pidsOfOthers = () => Promise.all(others.map((name) => shop.harm(name, "pid")));
  const before = await pidsOfOthers();
  const known = shop.output().length;
  const said = () => shop.output().slice(known);
  const pid = await shop.harm(it.service, it.harm);
  await shop.restarted(it.service, pid);
  await until(() => said().includes("restarting in"), "the supervisor says so");
  expect(said()).toMatch(new RegExp(`"level":"fatal".*"service":"${it.service}".*${it.said}.*because of a fault`));
  expect(said()).toMatch(new RegExp(`${it.service} +crashed +\\(exit code 1`));
  await ordersGoOn();
  expect(await pidsOfOthers()).toEqual(before);
});

test("a service that has no memory left dies of it, and is started again", async () => {
  const known = shop.output().length;
  const pid = await shop.harm("orders", "hog");
  await shop.restarted("orders", pid);
  await ordersGoOn();
  const said = shop.output().slice(known);
  expect(said).toMatch(/heap out of memory/);
  expect(said).toMatch(/orders +crashed +\((killed by SIGABRT|exit code 134)/);
});

test("after all of that no order that was acknowledged is lost, or there twice", async () => {
  await customers.finish();
  expect(violations(customers.history, await customers.stored())).toEqual([]);
  expect(customers.history.errors.has("unavailable")).toBe(true);
  const expected = ["unavailable", "deadline_exceeded"];
  expect([...customers.history.errors.keys()].filter((code) => !expected.includes(code))).toEqual([]);
});
