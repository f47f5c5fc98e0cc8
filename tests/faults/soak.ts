// `npm run soak`: the whole shop under a steady load for as long as it is told. Says how much each process holds, and ends with 1
// when anything of it grows.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { eachService, type ServiceName, serviceNames } from "../../shop/topology.ts";
import { numberFrom, readCommandLine } from "../options.ts";
import type { Probe } from "../process/probe.ts";
import { type Processes, type Stats, startProcesses } from "../process-harness.ts";
import { makeRandom } from "../random.ts";
import { ratesMax } from "./kills.ts";
import { isFlat, slopeOf } from "./slope.ts";
import { type Load, makeLoad } from "./soak-load.ts";

const usage = `npm run soak -- [options]
  --minutes N   how long (default: 60); the first third, at most twenty minutes, is warm-up. Then up to 16 more, until
                nothing is held for those who left without a word
  --rate N      steps each second (default: 100)
  --seed N      of what is done`;

/** Growth above it is a leak. MiB per ten minutes. */
const growthMax = 1;
const sampleMs = 15_000;
/** For as long as that something may be held for people who are gone: tokens live 15 minutes. Milliseconds. */
const heldMsMax = 16 * 60_000;
/** Who left without a word is held for 15 minutes: as many go by then as come. */
const warmUpMsMax = 1_200_000;

/**
 * V8 lets the young part of its heap grow to 64 MiB, in steps that may come an hour apart under a steady load, and each
 * looks like a leak. With 4 MiB for each half it has what it may have within a minute.
 */
const env = { ...ratesMax, NODE_OPTIONS: "--max-semi-space-size=4" };

interface Sample {
  /** Since the start. Milliseconds. */
  readonly atMs: number;
  readonly residentMiB: number;
  /** After a full collection, with buffers. */
  readonly heapMiB: number;
  /** Entries in the tables of sessions, live introductions, deposits, revokers and loans. */
  readonly held: number;
  readonly files: number;
}

const { minutes, rate, seed } = readCommandLine({
  usage,
  options: { minutes: { type: "string" }, rate: { type: "string" }, seed: { type: "string" } },
  read: (values) => ({
    minutes: numberFrom(1, "--minutes", values.minutes ?? "60"),
    rate: numberFrom(1, "--rate", values.rate ?? "100"),
    seed: values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : numberFrom(0, "--seed", values.seed),
  }),
});
try {
  await run();
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.exitCode = 1;
}

async function run(): Promise<void> {
  process.stderr.write(`seed ${seed}\n`);
  await using shop = await startProcesses({ env });
  const before = await countAll(shop);
  using load = makeLoad({ url: shop.urls.gateway, random: makeRandom(seed), perSecond: rate });
  const samples = await sampleAll(shop, load, minutes * 60_000);
  const grown = report(samples, minutes * 60_000);
  await load.finish();
  const isLeft = await waitForTables(shop, before);
  const errors = [...load.errors].map(([code, count]) => `${count} ${code}`).join(", ");
  say(`\n${load.calls} calls, and errors that were not meant: ${errors || "none"}.`);
  for (const name of ["users", "orders"])
    say(`${name}.db: ${toMiB(statSync(join(shop.dataDir, `${name}.db`)).size)} MiB.`);
  const after = await countAll(shop);
  say("\nBefore anybody came, and when nothing was held any more for those who had gone:\n");
  row(["process", "held", ...Object.keys(before.users.lives)]);
  row(["---", ...Array.from({ length: 6 }, () => "---:")]);
  for (const name of serviceNames) {
    const lives = Object.entries(before[name].lives).map(
      ([kind, count]) => `${count} → ${after[name].lives[kind as keyof Probe]}`,
    );
    row([name, `${before[name].held} → ${after[name].held}`, ...lives]);
  }
  say(`\n${grown.length > 0 ? `It grows: ${grown.join(", ")}.` : "Nothing grows."}`);
  if (grown.length > 0 || isLeft || load.errors.size > 0) process.exitCode = 1;
}

interface Counted {
  /** See `Sample.held`. */
  readonly held: number;
  readonly lives: Probe;
}

async function countAll(shop: Processes): Promise<Record<ServiceName, Counted>> {
  const held = new Map<ServiceName, number>();
  for (const name of serviceNames) held.set(name, heldBy(await shop.stats(name)));
  const lives = new Map<ServiceName, Probe>();
  for (const name of serviceNames) lives.set(name, await shop.probe(name));
  // Who was counted for too long was given up by its peers.
  await shop.ready();
  return eachService((name) => ({ held: held.get(name)!, lives: lives.get(name)! }));
}

/** Resolves when no service holds more than before, or it takes too long. @returns whether something is left. */
async function waitForTables(shop: Processes, before: Record<ServiceName, Counted>): Promise<boolean> {
  const startedAtMs = performance.now();
  for (;;) {
    const left: string[] = [];
    for (const name of serviceNames) {
      const more = heldBy(await shop.stats(name)) - before[name].held;
      if (more > 0) left.push(`${more} of ${name}`);
    }
    if (left.length === 0) return false;
    if (performance.now() - startedAtMs > heldMsMax) {
      say(`Still held: ${left.join(", ")}.`);
      return true;
    }
    process.stderr.write(`held for those who have gone: ${left.join(", ")}\n`);
    await sleep(sampleMs);
  }
}

async function sampleAll(shop: Processes, load: Load, durationMs: number): Promise<Map<ServiceName, Sample[]>> {
  const samples = new Map(serviceNames.map((name) => [name, [] as Sample[]]));
  const startedAtMs = performance.now();
  for (let next = sampleMs; next <= durationMs; next += sampleMs) {
    await sleep(startedAtMs + next - performance.now());
    const line = [`${Math.round(next / 1_000)} s, ${load.calls} calls`];
    for (const name of serviceNames) {
      const now = await sample(shop, name, performance.now() - startedAtMs);
      samples.get(name)!.push(now);
      line.push(`${name} ${now.residentMiB} ${now.heapMiB} MiB, ${now.held} held, ${now.files} files`);
    }
    process.stderr.write(`${line.join("; ")}\n`);
  }
  return samples;
}

async function sample(shop: Processes, name: ServiceName, atMs: number): Promise<Sample> {
  const [{ heap, external, resident }, stats] = await Promise.all([shop.memory(name), shop.stats(name)]);
  return {
    atMs,
    residentMiB: toMiB(resident),
    heapMiB: toMiB(heap + external),
    held: heldBy(stats),
    files: openFiles(shop.pidOf(name)!),
  };
}

/** Every number in it. */
function heldBy(stats: Stats): number {
  const sum = (value: unknown): number =>
    typeof value === "number" ? value : Object.values(value as object).reduce((total, it) => total + sum(it), 0);
  return sum(stats);
}

/** 0 where the system does not say. */
function openFiles(pid: number): number {
  return process.platform === "linux" ? readdirSync(`/proc/${pid}/fd`).length : 0;
}

/** Prints the table. @returns what grows. */
function report(samples: ReadonlyMap<ServiceName, readonly Sample[]>, durationMs: number): string[] {
  const warmUpMs = Math.min(durationMs / 3, warmUpMsMax);
  const grown: string[] = [];
  row(["process", "resident MiB, then", "now", "per 10 min", "heap MiB, then", "now", "per 10 min", "held", "files"]);
  row(["---", ...Array.from({ length: 8 }, () => "---:")]);
  for (const [name, all] of samples) {
    const steady = all.filter(({ atMs }) => atMs >= warmUpMs);
    if (steady.length < 3) throw new Error("It takes longer than this to see anything grow");
    const first = steady[0]!;
    const last = steady.at(-1)!;
    const memory = (of: "residentMiB" | "heapMiB") => {
      const slope = slopeOf(steady.map((it) => ({ at: it.atMs / 600_000, value: it[of] })));
      if (!isFlat(slope, growthMax)) grown.push(`${of} of ${name}`);
      return [first[of].toFixed(1), last[of].toFixed(1), `${slope.perUnit.toFixed(2)} ± ${slope.error.toFixed(2)}`];
    };
    const counted = (of: "held" | "files") => {
      const slope = slopeOf(steady.map((it) => ({ at: it.atMs / 600_000, value: it[of] })));
      // People come and go; a tenth more of what there is in ten minutes is more than that.
      if (!isFlat(slope, Math.max(first[of] / 10, 5))) grown.push(`${of} of ${name}`);
      return `${first[of]} → ${last[of]}`;
    };
    row([name, ...memory("residentMiB"), ...memory("heapMiB"), counted("held"), counted("files")]);
  }
  return grown;
}

function toMiB(bytes: number): number {
  return Math.round((bytes / 2 ** 20) * 100) / 100;
}

function row(cells: readonly (string | number)[]): void {
  say(`| ${cells.join(" | ")} |`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
