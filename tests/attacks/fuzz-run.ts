import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { type FuzzCase, type FuzzTarget, fuzzCase } from "./fuzz-cases.ts";
import { BadAnswer, type OnInternal, runCase } from "./fuzz-session.ts";
import type { FuzzShop, Recordings } from "./fuzz-shop.ts";

/** Cases under way at once: they wait for each other's processes most of the time. */
const parallel = 24;
/** Generated together, from a seed of their own; more would keep this process from answering the services' pings. */
const groupSize = 20;
const shrinkMsMax = 120_000;

/** A case, and where it came from: enough to make it, and what it shrinks to, again. */
export interface Candidate {
  readonly it: FuzzCase;
  readonly groupSeed: number;
  readonly index: number;
}

export interface Wrong {
  readonly reason: string;
  /** Whether any case that was under way may have done it: a process died, or answered nobody. */
  readonly isShared: boolean;
}

/** Runs a case and says what was wrong after it; undefined when nothing was. */
export type Judge = (it: FuzzCase) => Promise<Wrong | undefined>;

export function makeJudge(shop: FuzzShop, onInternal: OnInternal): Judge {
  return async (it) => {
    try {
      await runCase(shop, it, onInternal);
      await shop.honestProbe();
    } catch (error) {
      if (error instanceof BadAnswer) return { reason: error.message, isShared: false };
      // The last words of a process that died come a moment after its connections broke.
      await delay(100);
      return { reason: shop.fault() ?? (error instanceof Error ? error.message : String(error)), isShared: true };
    }
    const reason = shop.fault();
    return reason === undefined ? undefined : { reason, isShared: true };
  };
}

export interface StreamOptions {
  readonly targets: readonly FuzzTarget[];
  /** Of each target. */
  readonly cases: number;
  readonly seed: number;
}

/** All cases of all targets, in turn, made when they are asked for. */
export function* caseStream(recordings: Recordings, { targets, cases, seed }: StreamOptions): Generator<Candidate> {
  for (let from = 0; from < cases; from += groupSize) {
    const groups = targets.map((target, place) => {
      const groupSeed = (seed + from * 7 + place) | 0;
      const numRuns = Math.min(groupSize, cases - from);
      return { groupSeed, made: fc.sample(fuzzCase(target, recordings), { seed: groupSeed, numRuns }) };
    });
    for (let index = 0; index < groupSize; index += 1) {
      for (const { groupSeed, made } of groups) {
        const it = made[index];
        if (it) yield { it, groupSeed, index };
      }
    }
  }
}

/** A case failed. */
export class Broken extends Error {
  /** That case, or all that were under way when nobody knows which of them did it. */
  readonly suspects: readonly Candidate[];

  constructor(reason: string, suspects: readonly Candidate[]) {
    super(reason);
    this.suspects = suspects;
  }
}

export interface RunOptions {
  readonly judge: Judge;
  /** By `performance.now()`: no case is begun after it. */
  readonly endMs: number;
  readonly log: (line: string) => void;
}

/** @returns how many were run of each target. @throws Broken */
export async function runAll(
  stream: Iterator<Candidate>,
  { judge, endMs, log }: RunOptions,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const underWay = new Set<Candidate>();
  let broken: Broken | undefined;
  let done = 0;
  const worker = async () => {
    while (!broken && performance.now() < endMs) {
      const next = stream.next();
      if (next.done) return;
      const candidate = next.value;
      underWay.add(candidate);
      const wrong = await judge(candidate.it);
      if (wrong) broken ??= new Broken(wrong.reason, wrong.isShared ? [...underWay] : [candidate]);
      underWay.delete(candidate);
      const { target } = candidate.it;
      counts[target] = (counts[target] ?? 0) + 1;
      done += 1;
      if (done % 10_000 === 0) log(`${done} cases`);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  if (broken) throw broken;
  return counts;
}

export interface ShrinkOptions {
  readonly recordings: Recordings;
  readonly openShop: () => Promise<FuzzShop>;
  readonly onInternal: OnInternal;
}

/** The smallest case that `candidate` shrinks to and still fails, alone; undefined when it does not fail alone. */
export async function shrink(
  { it: { target }, groupSeed, index }: Candidate,
  { recordings, openShop, onInternal }: ShrinkOptions,
): Promise<{ readonly it: FuzzCase; readonly reason: string } | undefined> {
  let shop = await openShop();
  let smallest: { it: FuzzCase; reason: string } | undefined;
  const property = fc.asyncProperty(fuzzCase(target, recordings), async (it) => {
    const wrong = await makeJudge(shop, onInternal)(it);
    if (!wrong) return;
    smallest = { it, reason: wrong.reason };
    if (wrong.isShared) {
      await shop.abandon();
      shop = await openShop();
    }
    throw new Error(wrong.reason);
  });
  try {
    const endEarly = { interruptAfterTimeLimit: shrinkMsMax, markInterruptAsFailure: false };
    await fc.check(property, { seed: groupSeed, path: String(index), numRuns: 1, ...endEarly });
    return smallest;
  } finally {
    await shop.abandon();
  }
}
