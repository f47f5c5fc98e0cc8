import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { type ServiceName, serviceNames } from "../../shop/topology.ts";
import { batchClient } from "../gateway-clients.ts";
import { type Processes, type Stats, startProcesses, until, untilEqual } from "../process-harness.ts";
import type { HonestCall } from "./honest.child.ts";
import { type Honest, startHonest } from "./honest.ts";
import { stolenHello } from "./hostile-http.ts";
import { type Door, doorsOf } from "./hostile-peer.ts";

/** Generous, because a busy test machine stalls by itself; what an attack really costs, `measure.ts` measures. */
const honestMsMax = 2_000;
/** Honest calls that must have been answered after an attack was over. */
const callsAfterwards = 4;
/** Longer lines would let an attacker fill a disk. Characters. */
const logLineCharsMax = 2_048;

/** Whose service the attacker has taken over, key and all, when it knocks at `users` and `orders`. */
const stolenKey = "gateway";

/** The real system, an honest customer who shops in it, and the ways in for an attacker. */
export interface Target extends AsyncDisposable {
  readonly shop: Processes;
  /** Of somebody who is logged in and has an introduction; bob's is the honest customer's. */
  readonly tokens: Readonly<Record<"alice" | "bob" | "charlie", string>>;
  /** The public doors: of the gateway. */
  readonly doors: readonly Door[];
  /** The doors of an inner service, with the stolen key of the gateway. */
  readonly innerDoors: Readonly<Record<"users" | "orders", readonly Door[]>>;
  /** All of them. */
  readonly everyDoor: readonly Door[];
  /** A fresh hello with a stolen key. */
  helloTo(service: ServiceName, from?: ServiceName): Record<string, string>;
  /**
   * Runs an attack while the honest customer shops, and asserts that nobody but the attacker noticed: every process is
   * the one it was, nothing was unhandled, every honest call succeeded and none was stalled, and all tables are back.
   */
  attack(run: () => Promise<void>): Promise<void>;
  honest: Honest;
}

/**
 * The attacker and the honest customer share an address, and what one test spends the next would miss: these limits are
 * tried in limits.timing.test.ts, and here others are reached first.
 */
const roomyRates = { FLOTILLA_RATE_NETWORK: "1000000", FLOTILLA_RATE_LOGINS: "10000" };

export async function startTarget(env: Readonly<Record<string, string>> = roomyRates): Promise<Target> {
  const shop = await startProcesses({ env });
  try {
    const honest = await startHonest(shop.urls.gateway);
    const others = batchClient(shop.urls.gateway, { connection: "close" });
    const login = async (name: string) => {
      const { token } = await others.login(name, "password");
      await others.listOrders(token);
      return token;
    };
    const tokens = { alice: await login("alice"), bob: honest.token, charlie: await login("charlie") };
    return makeTarget(shop, honest, tokens);
  } catch (error) {
    await shop[Symbol.asyncDispose]();
    throw error;
  }
}

async function makeTarget(shop: Processes, honest: Honest, tokens: Target["tokens"]): Promise<Target> {
  const helloTo = (service: ServiceName, from: ServiceName = stolenKey) => stolenHello(shop.dataDir, from, service);
  const inner = (service: "users" | "orders") =>
    doorsOf(service, shop.urls[service], { headers: () => helloTo(service) });
  const doors = doorsOf("gateway", shop.urls.gateway);
  const innerDoors = { users: inner("users"), orders: inner("orders") };
  const pids = serviceNames.map(shop.pidOf);
  await until(async () => isAtRest(await tablesOf(shop)), "nothing is under way");
  const baseline = await tablesOf(shop);
  return {
    shop,
    tokens,
    honest,
    helloTo,
    doors,
    innerDoors,
    everyDoor: [...doors, ...innerDoors.users, ...innerDoors.orders],
    attack,
    async [Symbol.asyncDispose]() {
      await honest.close();
      await shop[Symbol.asyncDispose]();
    },
  };

  async function attack(run: () => Promise<void>): Promise<void> {
    const writtenBefore = serviceNames.map((name) => shop.output(name).length);
    honest.begin();
    try {
      await run();
      await honest.answered(callsAfterwards);
    } finally {
      await honest.end();
    }
    for (const [index, name] of serviceNames.entries()) {
      expect(isAlive(pids[index]), `${name} lives`).toBe(true);
      expectCalm(name, shop.output(name).slice(writtenBefore[index]));
    }
    expect(serviceNames.map(shop.pidOf)).toEqual(pids);
    expectUndisturbed(honest.calls());
    await untilEqual(() => tablesOf(shop), baseline);
  }
}

function expectCalm(name: ServiceName, written: string): void {
  expect(written, name).not.toMatch(/"level":"fatal"|[Uu]nhandled|UncaughtException|^\s+at /m);
  const longest = Math.max(...written.split("\n").map((line) => line.length));
  expect(longest, `the longest line of ${name}'s log`).toBeLessThanOrEqual(logLineCharsMax);
}

function expectUndisturbed(calls: readonly HonestCall[]): void {
  expect(calls.length).toBeGreaterThanOrEqual(callsAfterwards);
  expect(calls.filter(({ failure }) => failure !== undefined)).toEqual([]);
  expect(Math.max(...calls.map(({ tookMs }) => tookMs)), "the slowest honest call").toBeLessThan(honestMsMax);
}

function isAlive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
}

type Tables = Readonly<Record<ServiceName, Stats>>;

/**
 * Without the loans: those come and go with who orders, honest customers too, and each is an entry at either end. With the
 * first comes whom the User Service tells of its changes, and a hold of that.
 */
async function tablesOf(shop: Processes): Promise<Tables> {
  const [users, orders, gateway] = await Promise.all([
    shop.stats("users"),
    shop.stats("orders"),
    shop.stats("gateway"),
  ]);
  const { loans = 0, ...rest } = orders;
  const toUsers = rest.users!;
  const leases = toUsers.exports - 1;
  const { server } = users;
  return {
    users: {
      ...users,
      server: { ...server, imports: server.imports - leases, exports: server.exports - loans - leases },
    },
    orders: { ...rest, users: { ...toUsers, imports: toUsers.imports - loans - leases, exports: 1 } },
    gateway,
  };
}

/** Each session's main objects, and of each introduction its deposit; no call. */
function isAtRest({ users, orders, gateway }: Tables): boolean {
  const isIdle = ({ server }: Stats, held = 0) => server.exports === (server.sessions ?? 0) + held;
  const deposits = users.home?.deposits ?? 0;
  return (
    deposits === gateway.introductions &&
    gateway.users?.imports === 1 + deposits &&
    isIdle(users, deposits) &&
    isIdle(orders) &&
    isIdle(gateway)
  );
}

const canSeeMemory = process.platform === "linux";

/** Runs `run`, after which the gateway has not grown by more than `megabytesMax`. */
export async function expectLittleMemory(
  target: Target,
  megabytesMax: number,
  run: () => Promise<void>,
): Promise<void> {
  const before = canSeeMemory ? megabytesOf(target) : 0;
  await run();
  if (canSeeMemory) expect(megabytesOf(target) - before).toBeLessThan(megabytesMax);
}

function megabytesOf({ shop }: Target): number {
  const status = readFileSync(`/proc/${shop.pidOf("gateway")}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024;
}
