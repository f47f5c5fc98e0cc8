import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { compileCacheVariables } from "../compile-cache.js";
import { eachService, type ProcessName } from "../topology.ts";
import type { SystemEvent } from "./events.ts";
import { oneOfEach } from "./instances.ts";
import { lockDataDirectory } from "./lock.ts";
import { type System, type SystemOptions, startSystem } from "./system.ts";

let dataDir = "";
let systems: System[] = [];
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "flotilla-system-"));
});
afterEach(async () => {
  await Promise.all(systems.map((system) => system.kill()));
  systems = [];
  rmSync(dataDir, { recursive: true, force: true });
});

/** In the environment of whoever starts a system; no service is to hear of them. */
const strayPlaces = { FLOTILLA_ORDERS_URL: "http://elsewhere:1", FLOTILLA_INSTANCE: "7", FLOTILLA_INSTANCES: "3" };
const entry = fileURLToPath(new URL("fixtures/service.ts", import.meta.url));

function start(behaviour: Partial<Record<ProcessName, string>> = {}, options: Partial<SystemOptions> = {}) {
  const events: SystemEvent[] = [];
  const waiting: { type: SystemEvent["type"]; nth: number; found: (event: SystemEvent) => void }[] = [];
  const system = startSystem({
    placement: { mode: "development", host: "127.0.0.1", ports: eachService(() => 0), dataDir },
    env: { BEHAVIOUR: JSON.stringify(behaviour), ...strayPlaces },
    entryOf: () => entry,
    report(event) {
      events.push(event);
      for (const { type, nth, found } of waiting) {
        const hit = events.filter((it) => it.type === type)[nth - 1];
        if (hit) found(hit);
      }
    },
    ...options,
  });
  systems.push(system);
  /** Resolves with the `nth` event of a type. Ask before what causes it. */
  const event = (type: SystemEvent["type"], nth = 1) =>
    new Promise<SystemEvent>((found) => waiting.push({ type, nth, found }));
  return { system, events, event };
}

/** Of several processes the first, or the one with the given number. */
async function ask(urls: readonly string[], path: string, instance = 1): Promise<string> {
  return (await fetch(`${urls[instance - 1]}${path}`)).text();
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("ready when all three services are, and after a stop nothing is left", async () => {
  const { system, events } = start();
  const { urls } = await system.ready;
  expect(events.filter(({ type }) => type === "ready")).toHaveLength(3);
  const pids = await Promise.all(Object.values(urls).map(async (own) => Number(await ask(own, "/pid"))));
  expect(pids.every(isAlive)).toBe(true);
  expect(await system.stop()).toEqual({ drained: true });
  expect(pids.some(isAlive)).toBe(false);
  lockDataDirectory(dataDir).release();
});

test("a service learns where compiled code is kept and the addresses of those it may reach, whatever our own environment says", async () => {
  const { system } = start();
  const { urls } = await system.ready;
  const users = JSON.parse(await ask(urls.users, "/environment"));
  for (const stray of Object.keys(strayPlaces)) expect(users).not.toHaveProperty(stray);
  expect(users).toMatchObject(compileCacheVariables());
  expect(JSON.parse(await ask(urls.gateway, "/environment"))).toMatchObject({
    FLOTILLA_ORDERS_URL: urls.orders[0],
    FLOTILLA_USERS_URL: urls.users[0],
  });
});

test("a service that fails at the start stops the others and is shown with its last words", async () => {
  const { system } = start({ orders: "fails" });
  await expect(system.ready).rejects.toThrow(
    /orders ended before it was ready \(exit code 3\)\s+the database is damaged\s+refusing to start/,
  );
  await system.done;
  lockDataDirectory(dataDir).release();
});

test("a system that is not ready in time is stopped, naming who was late", async () => {
  const { system } = start({ gateway: "never-ready" }, { startMs: 300 });
  await expect(system.ready).rejects.toThrow(/Not ready after 0.3 s: .*gateway/);
  expect(await system.done).toEqual({ drained: true });
});

test("a second system on the same data directory is refused and leaves the first alone", async () => {
  const first = start();
  const { urls } = await first.system.ready;
  await expect(start().system.ready).rejects.toThrow(`already runs on ${dataDir}`);
  expect(await ask(urls.gateway, "/pid")).toMatch(/^\d+$/);
});

test("a service that crashes is shown, restarted after its backoff, and ready again at the same address", async () => {
  const { system, event } = start({}, { backoff: { firstMs: 2, longestMs: 8, forgiveMs: 60_000 }, random: () => 0.5 });
  const { urls } = await system.ready;
  const before = await ask(urls.orders, "/pid");
  for (const [nth, restartInMs] of [2, 3, 6, 6].entries()) {
    const [crashed, again] = [event("crashed", nth + 1), event("ready", 4 + nth)];
    await ask(urls.orders, "/crash").catch(() => undefined);
    const seen = { service: "orders", how: "exit code 1", lastLines: ["boom"], crashes: nth + 1, restartInMs };
    expect(await crashed).toMatchObject(seen);
    expect(await again).toMatchObject({ service: "orders", url: urls.orders[0] });
  }
  expect(await ask(urls.orders, "/pid")).not.toBe(before);
});

test("a service that somebody else stops is shown as ended, and started again", async () => {
  const backoff = { firstMs: 2, longestMs: 8, forgiveMs: 60_000 };
  const { system, event } = start({}, { backoff, random: () => 1 });
  const { urls } = await system.ready;
  for (const nth of [1, 2, 3]) {
    const [ended, again] = [event("ended", nth), event("ready", 3 + nth)];
    process.kill(Number(await ask(urls.users, "/pid")), "SIGTERM");
    expect(await ended).toMatchObject({ service: "users", how: "exit code 0", restartInMs: 2 });
    expect(await again).toMatchObject({ service: "users", url: urls.users[0] });
  }
  const crashed = event("crashed");
  process.kill(Number(await ask(urls.users, "/pid")), "SIGKILL");
  expect(await crashed).toMatchObject({ crashes: 1, restartInMs: 2 });
});

test("a service that is held up before it is ready is killed too", async () => {
  const { system, event } = start({ orders: "hangs" }, { heartbeat: { everyMs: 50, missedMax: 10 } });
  const silent = event("unresponsive");
  await expect(system.ready).rejects.toThrow("orders ended before it was ready (killed by SIGKILL)");
  expect(await silent).toMatchObject({ service: "orders" });
});

test("a service that was up long enough starts counting its crashes anew", async () => {
  const { system, event } = start({}, { backoff: { firstMs: 2, longestMs: 8, forgiveMs: 0 } });
  const { urls } = await system.ready;
  for (const nth of [1, 2]) {
    const [crashed, again] = [event("crashed", nth), event("ready", 3 + nth)];
    await ask(urls.users, "/crash").catch(() => undefined);
    expect(await crashed).toMatchObject({ crashes: 1 });
    await again;
  }
});

test("a service whose event loop is held up is shown, killed and started again; others are left alone", async () => {
  const backoff = { firstMs: 2, longestMs: 8, forgiveMs: 60_000 };
  const { system, events, event } = start({}, { backoff, heartbeat: { everyMs: 500, missedMax: 4 } });
  const { urls } = await system.ready;
  const before = await Promise.all([urls.orders, urls.users].map((own) => ask(own, "/pid")));
  const [silent, crashed, again] = [event("unresponsive"), event("crashed"), event("ready", 4)];
  ask(urls.orders, "/block").catch(() => undefined);
  expect(await silent).toMatchObject({ service: "orders", silentMs: 2_500 });
  expect(await crashed).toMatchObject({ service: "orders", how: "killed by SIGKILL", crashes: 1 });
  expect(await again).toMatchObject({ service: "orders" });
  expect(await ask(urls.orders, "/pid")).not.toBe(before[0]);
  expect(await ask(urls.users, "/pid")).toBe(before[1]);
  expect(events.filter(({ type }) => type === "unresponsive")).toHaveLength(1);
});

test("a system stops while a crashed service waits for its restart", async () => {
  const { system, event } = start({}, { backoff: { firstMs: 3_600_000, longestMs: 3_600_000, forgiveMs: 0 } });
  const { urls } = await system.ready;
  const crashed = event("crashed");
  await ask(urls.users, "/crash").catch(() => undefined);
  await crashed;
  expect(await system.stop()).toEqual({ drained: true });
});

test("who reaches a service is stopped before it", async () => {
  const { system, events } = start();
  await system.ready;
  await system.stop();
  const stopped = events.filter((event) => event.type === "stopped");
  expect(stopped.map(({ service }) => service)).toEqual(["gateway", "orders", "users"]);
});

test("a service that does not end when asked is killed, and the others are asked all the same", async () => {
  const { system, events } = start({ gateway: "deaf" }, { drainMs: 20, lastMs: 1_500 });
  await system.ready;
  expect(await system.stop()).toEqual({ drained: false });
  const stopped = events.flatMap((event) => (event.type === "stopped" ? `${event.service}: ${event.how}` : []));
  expect(stopped.sort()).toEqual(["gateway: killed by SIGKILL", "orders: exit code 0", "users: exit code 0"]);
});

test("a service is asked to end only once, for it takes the second time for impatience", async () => {
  const { system, events } = start({ gateway: "impatient", orders: "impatient", users: "impatient" });
  await system.ready;
  await Promise.all([system.stop(), system.stop()]);
  expect(events.slice(-3).map((event) => "how" in event && event.how)).toEqual(Array(3).fill("exit code 0"));
});

test("a stop before it is ready ends the start", async () => {
  const { system } = start({ gateway: "never-ready" });
  const refused = expect(system.ready).rejects.toMatchObject({ reason: "stopped" });
  await system.stop();
  await refused;
  lockDataDirectory(dataDir).release();
});

describe("with several instances of each service", () => {
  const instances = { ...oneOfEach, users: 2, orders: 3, gateway: 2 };

  test("all are ready, each knows its number and every address of those it reaches, and after a stop nothing is left", async () => {
    const env = { FLOTILLA_USERS_OPS_PORT: "9100", FLOTILLA_GATEWAY_OPS_PORT: "none" };
    const { system, events } = start({}, { instances, env });
    const { urls } = await system.ready;
    const ready = events.flatMap((event) => (event.type === "ready" ? event.service : []));
    const all = ["gateway.1", "gateway.2", "orders.1", "orders.2", "orders.3", "users.1", "users.2"];
    expect(ready.sort()).toEqual(all);
    expect(new Set(Object.values(urls).flat()).size).toBe(all.length);
    const second = JSON.parse(await ask(urls.gateway, "/environment", 2));
    expect(second).toMatchObject({
      FLOTILLA_INSTANCE: "2",
      FLOTILLA_GATEWAY_PORT: new URL(urls.gateway[1]!).port,
      FLOTILLA_GATEWAY_OPS_PORT: "none",
      FLOTILLA_USERS_URL: urls.users.join(","),
      FLOTILLA_ORDERS_URL: urls.orders.join(","),
    });
    const opsPorts = [1, 2].map(
      async (n) => JSON.parse(await ask(urls.users, "/environment", n)).FLOTILLA_USERS_OPS_PORT,
    );
    expect(await Promise.all(opsPorts)).toEqual(["9100", "9110"]);
    const every = Object.values(urls).flatMap((own) => own.map((_, i) => ask(own, "/pid", i + 1)));
    const pids = (await Promise.all(every)).map(Number);
    expect(pids.every(isAlive)).toBe(true);
    expect(await system.stop()).toEqual({ drained: true });
    expect(pids.some(isAlive)).toBe(false);
  });

  test("one that crashes is shown by its name and started again at its address, and the others are left alone", async () => {
    const backoff = { firstMs: 2, longestMs: 8, forgiveMs: 60_000 };
    const { system, event } = start({}, { instances, backoff });
    const { urls } = await system.ready;
    const pidsOf = () => Promise.all([1, 2, 3].map((n) => ask(urls.orders, "/pid", n)));
    const before = await pidsOf();
    const [crashed, again] = [event("crashed"), event("ready", 8)];
    await ask(urls.orders, "/crash", 2).catch(() => undefined);
    expect(await crashed).toMatchObject({ service: "orders.2", crashes: 1 });
    expect(await again).toMatchObject({ service: "orders.2", url: urls.orders[1] });
    const after = await pidsOf();
    expect([after[0], after[2]]).toEqual([before[0], before[2]]);
    expect(after[1]).not.toBe(before[1]);
  });

  test("all of a service are asked to end at once, and have ended before those that they reach are asked", async () => {
    const { system, events } = start({ "orders.1": "impatient", "gateway.2": "impatient" }, { instances });
    await system.ready;
    expect(await system.stop()).toEqual({ drained: true });
    const stopped = events.flatMap((event) => (event.type === "stopped" ? event.service.split(".")[0]! : []));
    expect(stopped).toEqual(["gateway", "gateway", "orders", "orders", "orders", "users", "users"]);
  });

  test("one that fails at the start, or is late, is named", async () => {
    await expect(start({ "orders.2": "fails" }, { instances }).system.ready).rejects.toThrow(
      /orders.2 ended before it was ready \(exit code 3\)/,
    );
    const late = start({ "users.2": "never-ready" }, { instances, startMs: 300 });
    await expect(late.system.ready).rejects.toThrow(/Not ready after 0.3 s: .*users\.2/);
  });
});

test("stopping twice, and after the end, does nothing", async () => {
  const { system } = start();
  await system.ready;
  await Promise.all([system.stop(), system.stop()]);
  expect(await system.stop()).toEqual({ drained: true });
});
