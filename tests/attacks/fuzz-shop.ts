import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock as clock, connect, connectAll, type Identity, type Instances, openIdentity } from "@flotilla/kit";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import type { OrderService } from "../../shop/contracts/orders.ts";
import type { UserService } from "../../shop/contracts/users.ts";
import { type Introductions, makeIntroductions } from "../../shop/gateway/introductions.ts";
import { GatewayTarget } from "../../shop/gateway/service.ts";
import { type ServiceName, serviceNames } from "../../shop/topology.ts";
import { webSocketClient } from "../gateway-clients.ts";
import { type Processes, type Stats, startProcesses } from "../process-harness.ts";
import { quietStatus } from "../quiet-status.ts";
import { bulks } from "./grammar-values.ts";
import { post, stolenHello } from "./hostile-http.ts";
import { callOf } from "./hostile-peer.ts";

/** The lines that somebody of ours said to a service in one session, with placeholders for what differs by run. */
export type Recordings = Readonly<Record<ServiceName, readonly string[]>>;

/** The shop's processes under attack, and everything a case needs to know of them. */
export interface FuzzShop extends AsyncDisposable {
  readonly urls: Processes["urls"];
  readonly recordings: Recordings;
  /** Writes the values of this run, and a nonce of the case's own, in place of the placeholders. */
  expand(lines: readonly string[]): string[];
  /** The hello with which the service `from` opens a session with `to`: its key was stolen. */
  hello(from: ServiceName, to: ServiceName): Record<string, string>;
  /** What must not be in any frame: keys, hashes, the honest client's token, paths. */
  readonly canaries: readonly string[];
  /** Resolves when an honest client, who has nothing to do with any case, was served by all three after this call. */
  honestProbe(): Promise<void>;
  /** The longest that an honest probe took. Milliseconds. */
  readonly honestMsWorst: number;
  /** A case met a limit of the gateway's. */
  countLimited(): void;
  readonly limitedAnswers: number;
  /** What is wrong with the processes or their logs; undefined while nothing is. */
  fault(): string | undefined;
  /** Resident memory after a full collection, in MB; undefined where there is no /proc. */
  residentMb(): Promise<Record<ServiceName, number> | undefined>;
  /** What the services hold, without the gateway's live introductions and the loans, which end by themselves. */
  tables(): Promise<unknown>;
  longestLogLine(): number;
  /** Ends it though it may be dead or hang, and expects nothing of it. */
  abandon(): Promise<void>;
}

const people = { honest: "charlie", user: "bob", admin: "alice" } as const;
const demoPassword = "password";
/**
 * Thousands of cases, and the honest client, share an address and three users: what they may do together is no matter
 * here. Log-ins are limited as ever; cases that are crowded come from where these are used up.
 */
const roomyRates = { FLOTILLA_RATE_NETWORK: "10000000", FLOTILLA_RATE_USER: "10000000" };
/** Only Linux has this address without being told; elsewhere there is no crowd. */
export const crowdedAddress = process.platform === "linux" ? "127.0.0.2" : undefined;
const guesses = 12;
/** Longer than the longest deadline that a call has by itself. */
const honestMsMax = 10_000;
const fatal = /"level":"fatal"|unhandled|uncaught|MaxListeners|FATAL ERROR/i;
const root = fileURLToPath(new URL("../..", import.meta.url));

export async function openFuzzShop(): Promise<FuzzShop> {
  const processes = await startProcesses({ env: roomyRates });
  const { urls, dataDir } = processes;
  const keys = join(dataDir, "keys");
  const client = webSocketClient(urls.gateway);
  const { token: honestToken } = await client.login(people.honest, demoPassword);
  const { token: userToken } = await client.login(people.user, demoPassword);
  const { token: adminToken } = await client.login(people.admin, demoPassword);
  await client.listOrders(honestToken);
  await useUpLogins(urls.gateway);
  const gateway = await recordGateway(urls, openIdentity(keys, "gateway"), userToken);
  const said = await recordClient(urls.gateway, userToken);
  const values = [
    [userToken, "$TOKEN"],
    [adminToken, "$ADMIN"],
    [gateway.users.pick().instance!, "$USERS"],
    [gateway.orders.pick().instance!, "$ORDERS"],
    [gateway.gift, "$GIFT"],
  ] as const;
  const logged = new Map<ServiceName, number>();
  let fault: string | undefined;
  let probing: Promise<void> | undefined;
  let nextProbe: Promise<void> | undefined;
  let honestMsWorst = 0;
  let limitedAnswers = 0;

  return {
    urls,
    recordings: {
      gateway: said.map(withPlaceholders),
      users: gateway.said.users.map(withPlaceholders),
      orders: gateway.said.orders.map(withPlaceholders),
    },
    expand(lines) {
      const nonce = randomBytes(18).toString("base64url");
      const words = { ...Object.fromEntries(values.map(([value, word]) => [word, value])), ...bulks, $NONCE: nonce };
      return lines.map((line) => line.replace(/\$[A-Z]+/g, (word) => words[word as keyof typeof words] ?? word));
    },
    hello: (from, to) => stolenHello(dataDir, from, to),
    canaries: [honestToken, dataDir, root, "$argon2", "node_modules", "node:internal", "SQLITE_", ...privateKeys(keys)],
    honestProbe() {
      // One at a time; whoever asks while one is under way shares the next.
      if (!probing) return probe();
      nextProbe ??= probing.then(probe, probe);
      return nextProbe;
    },
    get honestMsWorst() {
      return honestMsWorst;
    },
    countLimited() {
      limitedAnswers += 1;
    },
    get limitedAnswers() {
      return limitedAnswers;
    },
    fault: findFault,
    residentMb,
    async tables() {
      const [users, orders, gatewayNow] = (await Promise.all(serviceNames.map((name) => processes.stats(name)))) as [
        Stats,
        Stats,
        Stats,
      ];
      // The recorded gateway's too. On a machine so busy that its pings go unanswered, its introduction is gone.
      const recorded =
        gateway.users.isOpen && gateway.users.pick().sessionNumber === 1 ? gateway.introductions.size : 0;
      const live = (gatewayNow.introductions ?? 0) + recorded;
      // What the Order Service keeps of those who order is given back by itself too.
      const { loans = 0 } = orders;
      const ordersUsers = orders.users && { ...orders.users, imports: orders.users.imports - loans };
      return {
        users: {
          ...users.server,
          exports: users.server.exports - live - loans,
          parked: users.home!.parked,
          deposits: users.home!.deposits - live,
        },
        orders: { ...orders.server, parked: orders.home!.parked, deposits: orders.home!.deposits, users: ordersUsers },
        gateway: {
          ...gatewayNow.server,
          users: gatewayNow.users!.imports - (gatewayNow.introductions ?? 0),
          orders: gatewayNow.orders,
        },
      };
    },
    longestLogLine: () =>
      Math.max(
        ...serviceNames.flatMap((name) =>
          processes
            .output(name)
            .split("\n")
            .map((line) => Buffer.byteLength(line)),
        ),
      ),
    async abandon() {
      await Promise.allSettled(serviceNames.map((name) => processes.kill(name)));
      await Promise.resolve(processes[Symbol.asyncDispose]()).catch(() => {});
      client[Symbol.dispose]();
      gateway[Symbol.dispose]();
    },
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      gateway[Symbol.dispose]();
      await processes[Symbol.asyncDispose]();
    },
  };

  function probe(): Promise<void> {
    const startMs = performance.now();
    nextProbe = undefined;
    probing = inTime(client.listOrders(honestToken), honestMsMax, "an honest client was not served")
      .then(() => {
        honestMsWorst = Math.max(honestMsWorst, performance.now() - startMs);
      })
      .finally(() => {
        probing = undefined;
      });
    return probing;
  }

  /** Looks at what was logged since the last time. */
  function findFault(): string | undefined {
    for (const name of serviceNames) {
      const output = processes.output(name);
      const from = logged.get(name) ?? 0;
      logged.set(name, output.length);
      if (!isAlive(processes.pidOf(name))) fault ??= `${name} died:\n${output.slice(-2_000)}`;
      const fresh = output.slice(Math.max(0, from - 100));
      if (fatal.test(fresh)) fault ??= `${name} logged:\n${fresh.slice(-2_000)}`;
      if ([honestToken, userToken, adminToken].some((secret) => fresh.includes(secret)))
        fault ??= `${name} logged a token`;
    }
    return fault;
  }

  async function residentMb(): Promise<Record<ServiceName, number> | undefined> {
    const entries: [string, number][] = [];
    for (const name of serviceNames) {
      // Counting its objects makes the process collect all of its garbage.
      await processes.probe(name);
      const kb = residentKb(processes.pidOf(name)!);
      if (kb === undefined) return undefined;
      entries.push([name, Math.round(kb / 102.4) / 10]);
    }
    return Object.fromEntries(entries) as Record<ServiceName, number>;
  }

  function withPlaceholders(line: string): string {
    return values.reduce((text, [value, word]) => text.replaceAll(value, word), line);
  }
}

async function useUpLogins(url: string): Promise<void> {
  if (!crowdedAddress) return;
  const lines = Array.from({ length: guesses }, (_, n) => callOf("login", [people.user, "guess"], n + 1)).flat();
  const body = lines.map((line) => JSON.stringify(line)).join("\n");
  await post(`${url}/rpc/batch`, { body, localAddress: crowdedAddress });
}

export function inTime<T>(work: PromiseLike<T>, ms: number, complaint: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${complaint} within ${ms} ms`)), ms);
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}

function isAlive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
}

function residentKb(pid: number): number | undefined {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return undefined;
  }
}

function privateKeys(directory: string): string[] {
  return readdirSync(directory)
    .filter((file) => file.endsWith(".key"))
    .map((file) => readFileSync(join(directory, file), "utf8").split("\n")[1]!);
}

interface RecordedGateway extends Disposable {
  readonly users: Instances<UserService>;
  readonly orders: Instances<OrderService>;
  readonly said: Readonly<Record<"users" | "orders", readonly string[]>>;
  /** The nonce of the introduction it made, alive as long as this. */
  readonly gift: string;
  readonly introductions: Introductions;
}

/** A second gateway, in this process, serves a person through the real services; what it says to them is written down. */
async function recordGateway(urls: Processes["urls"], identity: Identity, token: string): Promise<RecordedGateway> {
  const said = { users: [] as string[], orders: [] as string[] };
  const as = { identity, instance: "g".repeat(16) };
  const link = (name: "users" | "orders") => ({ name, as, onFrame: noteSaid(said[name]) });
  const users = connectAll<UserService>({ ...link("users"), urls: [urls.users] });
  const orders = connectAll<OrderService>({ ...link("orders"), urls: [urls.orders] });
  await Promise.all([users.opened(), orders.opened()]);
  const introductions = makeIntroductions({ users, to: "orders", clock });
  const target = new GatewayTarget({ users, orders, introductions, clock, status: () => quietStatus });
  await target.login(people.user, demoPassword);
  await target.getUserProfile(token);
  await target.listUsers(token);
  const { orderId } = await target.createOrder(token, [{ name: "Laptop", quantity: 1, price: 999.99 }], "fuzz-1");
  await target.listOrders(token);
  await target.cancelOrder(token, orderId).catch(() => {});
  const gift = /"introduction":"([\w-]{24})"/.exec(said.orders.join("\n"))?.[1];
  if (!gift) throw new Error("the recorded gateway introduced nobody");
  return {
    users,
    orders,
    said: { users: [...said.users], orders: [...said.orders] },
    gift,
    introductions,
    [Symbol.dispose]() {
      introductions[Symbol.dispose]();
      users.close();
      orders.close();
    },
  };
}

/** An honest client of the gateway, for one session. */
async function recordClient(url: string, token: string): Promise<string[]> {
  const said: string[] = [];
  using gateway = connect<Gateway>({ name: "gateway", url, onFrame: noteSaid(said) });
  const { main } = gateway;
  await main.getUserProfile(token);
  await main.listUsers(token);
  const { orderId } = await main.createOrder(token, [{ name: "Mouse", quantity: 2, price: 29.99 }], "fuzz-2");
  await main.listOrders(token);
  await Promise.resolve(main.cancelOrder(token, orderId)).catch(() => {});
  return said;
}

function noteSaid(lines: string[]): (direction: "in" | "out", frame: string) => void {
  return (direction, frame) => {
    if (direction === "out") lines.push(...frame.split("\n"));
  };
}
