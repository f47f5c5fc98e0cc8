import { setTimeout as delay } from "node:timers/promises";
import { type ServiceName, serviceNames } from "../../shop/topology.ts";
import type { FuzzTarget } from "./fuzz-cases.ts";
import { Broken, caseStream, makeJudge, runAll, shrink } from "./fuzz-run.ts";
import { BadAnswer, type OnInternal } from "./fuzz-session.ts";
import { type FuzzShop, openFuzzShop, type Recordings } from "./fuzz-shop.ts";

export interface FuzzOptions {
  readonly targets: readonly FuzzTarget[];
  /** Of each target. */
  readonly cases: number;
  /** The same seed gives the same cases. */
  readonly seed: number;
  /** An answer with code `internal` fails its case too; default, they are counted. */
  readonly strict?: boolean;
  /** No case is begun after it. Milliseconds. */
  readonly msMax?: number;
  readonly log?: (line: string) => void;
}

export interface FuzzReport {
  readonly seed: number;
  readonly cases: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** MB of each process after a full collection, warmed up and after all cases; undefined where there is no /proc. */
  readonly residentMb: Readonly<Record<"before" | "after", Resident | undefined>>;
  /** Answers by which a service admitted a fault of its own. */
  readonly internalAnswers: number;
  /** Answers that were refused by the gateway's limits. */
  readonly limitedAnswers: number;
  readonly honestMsWorst: number;
  readonly logLineBytesMax: number;
}

type Resident = Readonly<Record<ServiceName, number>>;

/** A case broke something. The message has the seed, what happened, and the shrunk case. */
export class FuzzFailure extends Error {}

/**
 * Of each target, before memory is looked at: compiled code, pools of the runtime and of the allocator are made once
 * (measured: 14 MB in the first 10,000 sessions, 5 in the next 60,000). Few where few are run, to be done in time.
 */
const warmUpCases = (cases: number) => Math.min(5_000, Math.max(150, Math.floor(cases / 10)));
/** What memory may differ by between two collections. MB. */
const residentMbMax = 20;
/** For tables and memory to come to rest, of which nothing tells. Milliseconds. */
const restMsMax = 20_000;
/** Longer than a withdrawal is parked. Milliseconds. */
const quietMs = 2_500;

/**
 * Attacks real processes with generated sessions. Whatever a case sends: its session ends or answers, an honest client on
 * another session is served, every process lives and logs nothing unhandled, and nothing that must not leaves. At the
 * end the services hold what they held before, and their memory is back.
 *
 * @throws FuzzFailure when anything of that does not hold.
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { log = () => {}, seed, msMax = Number.POSITIVE_INFINITY } = options;
  const startMs = performance.now();
  let internalAnswers = 0;
  const onInternal = (line: string) => {
    internalAnswers += 1;
    if (options.strict) throw new BadAnswer(`a fault of the service's own: ${line}`);
  };
  const shop = await openFuzzShop();
  try {
    const run = { judge: makeJudge(shop, onInternal), endMs: Number.POSITIVE_INFINITY, log };
    await runAll(caseStream(shop.recordings, { ...options, cases: warmUpCases(options.cases), seed: ~seed }), run);
    const atRest = await tablesAtRest(shop);
    const before = await shop.residentMb();
    const cases = await runAll(caseStream(shop.recordings, options), { ...run, endMs: startMs + msMax });
    await backTo(shop, atRest);
    const after = await memoryBack(shop, before);
    const fault = shop.fault();
    if (fault) throw new Error(fault);
    const report = {
      seed,
      cases,
      seconds: Math.round((performance.now() - startMs) / 1_000),
      residentMb: { before, after },
      internalAnswers,
      limitedAnswers: shop.limitedAnswers,
      honestMsWorst: Math.round(shop.honestMsWorst),
      logLineBytesMax: shop.longestLogLine(),
    };
    await shop[Symbol.asyncDispose]();
    return report;
  } catch (thrown) {
    await shop.abandon();
    throw await explain(thrown, { seed, log, recordings: shop.recordings, onInternal });
  }
}

async function tablesAtRest(shop: FuzzShop): Promise<string> {
  const endMs = performance.now() + restMsMax;
  let last = "";
  while (performance.now() < endMs) {
    const now = JSON.stringify(await shop.tables());
    if (now === last) return now;
    last = now;
    await delay(quietMs);
  }
  throw new Error(`the tables do not come to rest: ${last}`);
}

async function backTo(shop: FuzzShop, atRest: string): Promise<void> {
  const endMs = performance.now() + restMsMax;
  let now = "";
  while (performance.now() < endMs) {
    now = JSON.stringify(await shop.tables());
    if (now === atRest) return;
    await delay(100);
  }
  throw new Error(`the tables did not come back:\nbefore ${atRest}\nnow    ${now}`);
}

async function memoryBack(shop: FuzzShop, before: Resident | undefined): Promise<Resident | undefined> {
  const endMs = performance.now() + restMsMax;
  for (;;) {
    const now = await shop.residentMb();
    if (!before || !now || serviceNames.every((name) => now[name] <= before[name] + residentMbMax)) return now;
    if (performance.now() > endMs) {
      const both = `before ${JSON.stringify(before)}, now ${JSON.stringify(now)}`;
      throw new Error(`memory did not come back within ${residentMbMax} MB: ${both}`);
    }
    await delay(500);
  }
}

interface Explain {
  readonly seed: number;
  readonly log: (line: string) => void;
  readonly recordings: Recordings;
  readonly onInternal: OnInternal;
}

/** Finds the smallest case that does it, among those that may have, each time against processes of its own. */
async function explain(thrown: unknown, { seed, log, recordings, onInternal }: Explain): Promise<FuzzFailure> {
  if (!(thrown instanceof Broken)) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new FuzzFailure(`seed ${seed}: ${message}`, { cause: thrown });
  }
  log(`seed ${seed}: ${thrown.message}\nlooking for the smallest case, among ${thrown.suspects.length}`);
  for (const suspect of thrown.suspects) {
    const shrunk = await shrink(suspect, { recordings, openShop: openFuzzShop, onInternal });
    if (shrunk) return new FuzzFailure(`seed ${seed}: ${shrunk.reason}\nshrunk case: ${JSON.stringify(shrunk.it)}`);
  }
  const all = thrown.suspects.map(({ it }) => JSON.stringify(it).slice(0, 1_000)).join("\n");
  return new FuzzFailure(`seed ${seed}: ${thrown.message}\nno case does it alone; under way were:\n${all}`);
}
