import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { heartbeatDefault } from "../../shop/supervisor/heartbeat.ts";
import { type ServiceName, serviceNames } from "../../shop/topology.ts";
import type { Memory } from "../process/probe.ts";
import { type Processes, startProcesses } from "../process-harness.ts";
import { type Attacked, type Attacker, type MeasuredAttack, startAttacker } from "./attacker.ts";
import type { HonestCall } from "./honest.child.ts";
import { type Honest, startHonest } from "./honest.ts";
import { dial, list, type Message } from "./hostile-peer.ts";
import { measuredAttacks } from "./measured-attacks.ts";

export interface MeasureOptions {
  /** Only attacks whose row is one of these, or whose name has one of them in it; all when there is none. */
  readonly words: readonly string[];
  /** Each is one alone, one beside the control and one beside the attacker. */
  readonly rounds: number;
  readonly roundMs: number;
}

/** Between two calls of the customer. Milliseconds. */
const pauseMs = 5;
/** Time to work off what the attacker left behind; if it takes longer, the row says so. Milliseconds. */
const restMsMax = 60_000;
const memoryEveryMs = 50;

/** @returns those of `words` that select nothing. */
export function unknownWords(words: readonly string[]): readonly string[] {
  return words.filter((word) => !measuredAttacks.some((attack) => isNamed(attack, word)));
}

/** Each row with the names of its attacks. */
export function measuredNames(): string {
  return measuredAttacks.map(({ row, name }) => `  ${row.padEnd(4)} ${name}`).join("\n");
}

function isNamed({ row, name }: MeasuredAttack, word: string): boolean {
  return row === word || name.includes(word);
}

/**
 * Measures what an honest customer notices of each resource attack. Customer, attacker and services are processes of
 * their own. A round alone, one beside the control and one beside the attacker take turns, so that a machine that gets
 * slower does so for all three.
 * @returns a table in Markdown.
 */
export async function measure({ words, rounds, roundMs }: MeasureOptions): Promise<string> {
  const chosen = measuredAttacks.filter((attack) => words.length === 0 || words.some((word) => isNamed(attack, word)));
  await using shop = await startProcesses();
  const at = await prepare(shop);
  const attacker = startAttacker();
  await using bench = await openBench(shop);
  const lines: string[] = [];
  try {
    await bench.round(roundMs);
    for (const attack of chosen) {
      const measured = await measureOne({ attack, attacker, at, bench, rounds, roundMs });
      lines.push(lineOf(attack, measured, (rounds * roundMs) / 1_000));
      process.stderr.write(`${lines.at(-1)}\n`);
    }
  } finally {
    await attacker.close();
  }
  return [about(rounds, roundMs), "", ...heading, ...lines, ""].join("\n");
}

interface Measured {
  count: number;
  readonly alone: HonestCall[];
  readonly control: HonestCall[];
  readonly attacked: HonestCall[];
  /** Services that the supervisor would have killed for their silence, or that ended by themselves. */
  readonly killed: ServiceName[];
  /** Resident memory of all services above what it was before: at most, and in the end. Bytes. */
  mostBytes: number;
  leftBytes: number;
  /** Why the row says less than it should. */
  readonly troubles: Set<string>;
}

interface One {
  readonly attack: MeasuredAttack;
  readonly attacker: Attacker;
  readonly at: Attacked;
  readonly bench: Bench;
  readonly rounds: number;
  readonly roundMs: number;
}

async function measureOne({ attack, attacker, at, bench, rounds, roundMs }: One): Promise<Measured> {
  const measured: Measured = {
    count: 0,
    alone: [],
    control: [],
    attacked: [],
    killed: bench.killed(),
    mostBytes: 0,
    leftBytes: 0,
    troubles: new Set(),
  };
  const before = await bench.memory();
  for (let round = 0; round < rounds; round += 1) {
    measured.alone.push(...(await bench.round(roundMs)));
    measured.control.push(...(await bench.round(roundMs, () => attacker.compute(roundMs))));
    using watch = bench.watchMemory();
    const attacked = await bench.round(roundMs, async () => {
      const count = attacker.attack(attack, at, roundMs);
      measured.count += await count.catch((error: unknown) => {
        measured.troubles.add(String(error));
        return 0;
      });
    });
    measured.attacked.push(...attacked);
    if (!attack.end) await bench.atRest().catch((error: unknown) => measured.troubles.add(String(error)));
    measured.mostBytes = Math.max(measured.mostBytes, watch.mostBytes() - before.resident);
  }
  await attacker.end(attack);
  await bench.atRest().catch((error: unknown) => measured.troubles.add(String(error)));
  measured.leftBytes = (await bench.memory()).live - before.live;
  return measured;
}

/** The services with the customer beside them. */
interface Bench extends AsyncDisposable {
  /** The customer's calls of one round. */
  round(roundMs: number, beside?: () => Promise<void>): Promise<readonly HonestCall[]>;
  /** Resolves when the gateway has no session but the customer's; a service that was killed is started again first. */
  atRest(): Promise<void>;
  /** Memory of all services after a full collection: resident and alive. Bytes. */
  memory(): Promise<{ resident: number; live: number }>;
  /** Resident memory as it comes; on Linux. */
  watchMemory(): Disposable & { mostBytes(): number };
  /** Fills as services are killed; from now on. */
  killed(): ServiceName[];
}

async function openBench(shop: Processes): Promise<Bench> {
  let honest = await startHonest(shop.urls.gateway, pauseMs);
  let killed: ServiceName[] = [];
  const down = new Set<ServiceName>();
  const watches = new Map<ServiceName, () => void>();
  const watch = (name: ServiceName) => {
    const endWatch = shop.onSilent(name, heartbeatDefault, () => {
      killed.push(name);
      down.add(name);
      void shop.kill(name);
    });
    watches.set(name, endWatch);
  };
  for (const name of serviceNames) watch(name);

  async function startAgain(): Promise<void> {
    for (const name of down) {
      await shop.start(name);
      watches.get(name)?.();
      watch(name);
    }
    await shop.ready();
    down.clear();
    await renewHonest();
  }

  async function renewHonest(): Promise<void> {
    await honest.close();
    honest = await startHonest(shop.urls.gateway, pauseMs);
  }

  return {
    async round(roundMs, beside) {
      const mine: Honest = honest;
      mine.begin();
      await Promise.all([delay(roundMs), beside?.()]);
      await mine.end();
      return mine.calls();
    },
    async atRest() {
      const endMs = performance.now() + restMsMax;
      while (performance.now() < endMs) {
        if (down.size > 0) await startAgain();
        const stats = await Promise.race([shop.stats("gateway"), delay(1_000)]);
        if (stats?.server.sessions === 1) return;
        // A session of the customer's that was lost does not come back by itself.
        if (stats?.server.sessions === 0) await renewHonest();
        await delay(memoryEveryMs);
      }
      throw new Error(`not at rest after ${restMsMax / 1_000} s`);
    },
    async memory() {
      const each = await Promise.all(serviceNames.map(shop.memory));
      const sum = (of: (memory: Memory) => number) => each.reduce((all, memory) => all + of(memory), 0);
      return { resident: sum(({ resident }) => resident), live: sum(({ heap, external }) => heap + external) };
    },
    watchMemory() {
      let most = 0;
      const look = () => {
        most = Math.max(most, residentBytes(shop));
      };
      const timer = setInterval(look, memoryEveryMs);
      return { mostBytes: () => most, [Symbol.dispose]: () => clearInterval(timer) };
    },
    killed() {
      killed = [];
      return killed;
    },
    async [Symbol.asyncDispose]() {
      for (const endWatch of watches.values()) endWatch();
      await honest.close();
    },
  };
}

/** Pages are 4 KiB wherever Node runs on Linux but on some ARM servers. */
const pageBytes = 4_096;

function residentBytes(shop: Processes): number {
  let pages = 0;
  for (const name of serviceNames) {
    try {
      pages += Number(readFileSync(`/proc/${shop.pidOf(name)}/statm`, "utf8").split(" ")[1]);
    } catch {
      // It was killed, or this is not Linux.
    }
  }
  return pages * pageBytes;
}

const columns = [
  "times/s",
  "alone p50",
  "alone p99",
  "alone worst",
  "control p99",
  "control worst",
  "attacked p50",
  "attacked p99",
  "attacked worst",
  "p99 ratio",
  "failed",
  "killed",
  "MB at most",
  "MB left",
];
const heading = [`| row | attack | ${columns.join(" | ")} |`, `|---|---|${columns.map(() => "---:|").join("")}`];

function lineOf({ row, name }: MeasuredAttack, measured: Measured, seconds: number): string {
  const { count, alone, control, attacked, killed, mostBytes, leftBytes, troubles } = measured;
  const [before, beside, during] = [alone, control, attacked].map(summary) as [Summary, Summary, Summary];
  const ms = [...before, ...beside.slice(1), ...during].map((value) => value.toFixed(1));
  const failed = [...alone, ...control, ...attacked].filter(({ failure }) => failure !== undefined);
  const cells = [
    row,
    name,
    Math.round(count / seconds),
    ...ms,
    (during[1] / before[1]).toFixed(1),
    failed.length,
    killed.join(", ") || "no",
    ...[mostBytes, leftBytes].map((bytes) => Math.round(bytes / 2 ** 20)),
  ];
  const notes = [...troubles, ...new Set(failed.map(({ failure = "" }) => failure.slice(0, 100)))];
  for (const note of notes) process.stderr.write(`${row} ${name}: ${note}\n`);
  return `| ${cells.join(" | ")} |`;
}

/** p50, p99 and the worst. Milliseconds. */
type Summary = readonly [number, number, number];

function summary(calls: readonly HonestCall[]): Summary {
  const sorted = calls.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return [at(0.5), at(0.99), at(1)];
}

function about(rounds: number, roundMs: number): string {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
  const date = new Date().toISOString().slice(0, 10);
  return `${date}, ${machine}, ${process.platform}, Node ${process.version}; ${rounds} rounds of ${roundMs} ms; times in ms.`;
}

/** Makes two more accounts, and so many orders of charlie's that a list is as long as one may be. */
async function prepare(shop: Processes): Promise<Attacked> {
  const url = shop.urls.gateway;
  using peer = await dial(url, { framing: "flotilla.v1" });
  const ask = async <R>(method: string, ...args: readonly unknown[]): Promise<R> => {
    const [kind, , value] = await peer.answer(peer.call(method, args));
    if (kind !== "resolve") throw new Error(`${method}: ${JSON.stringify(value)}`);
    return value as R;
  };
  const logIn = async (name: string, password: string) => (await ask<{ token: string }>("login", name, password)).token;
  const password = "correct horse battery";
  const admin = await logIn("alice", "password");
  for (const username of ["mallory", "trudy"]) {
    await ask("createUser", admin, { username, password, email: `${username}@example.com` });
  }
  const token = await logIn("charlie", "password");
  const item = { name: "Laptop", quantity: 1, price: 999.99 };
  for (let placed = 0; placed < 1_000; placed += 50) {
    const ids = Array.from({ length: 50 }, () => peer.call("createOrder", [token, list(item)]));
    for (const id of ids) await peer.answer(id);
    peer.send(...ids.map((id): Message => ["release", id, 1]));
  }
  return {
    url,
    usersUrl: shop.urls.users,
    token,
    tokens: [token, await logIn("mallory", password), await logIn("trudy", password)],
  };
}
