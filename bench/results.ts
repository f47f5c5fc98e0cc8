import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import { fileURLToPath } from "node:url";
import type { Options } from "./options.ts";
import type { RunResult } from "./run.ts";
import type { Variant } from "./variants.ts";
import type { StoreKind } from "./work.ts";

/** A file of bench/results. */
export interface Results {
  readonly startedAt: string;
  /** Of the repository; with `+` when the tree was not as committed. */
  readonly commit: string;
  readonly seed: number;
  readonly machine: Machine;
  readonly options: Omit<Options, "variants" | "stores" | "seed">;
  readonly variants: readonly Variant[];
  readonly stores: readonly StoreKind[];
  /** Medians over the rounds. */
  readonly summary: readonly Summary[];
  readonly counts: readonly SystemCounts[];
  readonly samples: readonly Sample[];
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly os: string;
  readonly node: string;
}

/** What was offered: `64 clients`, or a share of what the system can do. */
export type Offered =
  | { readonly kind: "closed"; readonly clients: number }
  | { readonly kind: "open"; readonly share: number };

export interface Sample {
  readonly variant: string;
  readonly store: StoreKind;
  readonly offered: Offered;
  readonly round: number;
  readonly result: RunResult;
}

export interface Summary extends Omit<Sample, "round"> {
  readonly rounds: number;
}

export interface SystemCounts {
  readonly variant: string;
  readonly store: StoreKind;
  readonly acknowledged: number;
  readonly stored: number;
}

const root = fileURLToPath(new URL("..", import.meta.url));

export function sameOffer(a: Offered, b: Offered): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Of each field over the rounds; `failed` is their sum. */
export function summarise(samples: readonly Sample[]): Summary[] {
  const groups = Map.groupBy(samples, ({ variant, store, offered }) => JSON.stringify([variant, store, offered]));
  return [...groups.values()].map((group) => {
    const { variant, store, offered } = group[0]!;
    return { variant, store, offered, rounds: group.length, result: medians(group.map(({ result }) => result)) };
  });
}

function medians(results: readonly RunResult[]): RunResult {
  const names = Object.keys(results[0]!) as (keyof RunResult)[];
  const entries = names.map((name) => {
    const values = results.map((result) => result[name]).filter((value) => value !== null);
    if (name === "failed") return [name, values.reduce((sum, value) => sum + value, 0)];
    return [name, values.length === 0 ? null : rounded(median(values))];
  });
  return Object.fromEntries(entries);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** To what a measurement can tell. */
export function rounded(value: number): number {
  return Number(value.toPrecision(5));
}

export function thisMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: `${type()} ${release()}`,
    node: process.version,
  };
}

export function thisCommit(): string {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  try {
    return `${git("rev-parse", "--short=12", "HEAD")}${git("status", "--porcelain", "-uno") === "" ? "" : "+"}`;
  } catch {
    return "unknown";
  }
}

/** One sample a line, so that a difference between two files can be read. */
export function writeResults(file: string, results: Results): void {
  const fields = Object.entries(results).map(([name, value]) => `  ${JSON.stringify(name)}: ${spelled(value)}`);
  writeFileSync(file, `{\n${fields.join(",\n")}\n}\n`);
}

function spelled(value: unknown): string {
  if (!Array.isArray(value) || value.length === 0) return JSON.stringify(value);
  return `[\n${value.map((entry) => `    ${JSON.stringify(entry)}`).join(",\n")}\n  ]`;
}

export function readResults(file: string): Results {
  return JSON.parse(readFileSync(file, "utf8")) as Results;
}
