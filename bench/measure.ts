import { join } from "node:path";
import { makeRandom } from "../tests/random.ts";
import type { Options } from "./options.ts";
import { median, type Offered, type Sample, type SystemCounts, sameOffer } from "./results.ts";
import type { Load, RunResult } from "./run.ts";
import { type System, startSystem } from "./system.ts";
import type { StoreKind } from "./work.ts";

export interface Measurement {
  readonly samples: readonly Sample[];
  readonly counts: readonly SystemCounts[];
}

export interface MeasureOptions {
  readonly options: Options;
  readonly store: StoreKind;
  readonly profileTo?: string | undefined;
  /** Hears what goes on. */
  onProgress(line: string): void;
}

const warmClients = 64;
/** What a system can do, for its open loops, is what it did at so many clients. */
const capacityClients = 64;

/** Processors that other programs kept busy. */
const disturbedFrom = 0.25;
const disturbanceOf = ({ foreignCpus }: RunResult) => foreignCpus ?? 0;

/**
 * Everything on one store. All systems run from the start to the end and take turns, in another order each time, so that
 * what else the machine does meets all of them.
 *
 * @throws Error when a system cannot be measured, or has lost an order that it acknowledged.
 */
export async function measure({ options, store, profileTo, onProgress }: MeasureOptions): Promise<Measurement> {
  await using stack = new AsyncDisposableStack();
  const random = makeRandom(options.seed);
  onProgress(`${store}: starting`);
  const systems: System[] = [];
  // One after the other: forty processes at once start for longer than one of them may.
  for (const variant of options.variants) {
    const folder = profileTo && join(profileTo, `${variant.name}-${store}`);
    systems.push(stack.use(await startSystem({ variant, store, profileTo: folder })));
  }
  for (const system of systems)
    await system.run({ kind: "closed", clients: warmClients, seconds: options.warmSeconds });

  const samples: Sample[] = [];
  const closed = options.clients.map((clients): Offered => ({ kind: "closed", clients }));
  const open = options.shares.map((share): Offered => ({ kind: "open", share }));
  // The open loops after all closed ones: by then it is known what each can do.
  for (const offers of [closed, open]) {
    for (let round = 0; round < options.rounds; round += 1) {
      for (const offered of offers) {
        for (const system of shuffled(systems, random)) await sample(system, offered, round);
      }
    }
  }
  const counts: SystemCounts[] = [];
  for (const system of systems) counts.push({ variant: system.variant.name, store, ...(await system.stop()) });
  return { samples, counts };

  async function sample(system: System, offered: Offered, round: number): Promise<void> {
    const variant = system.variant.name;
    const load = loadOf(offered, variant, round);
    let result = await system.run(load);
    for (let again = 0; again < options.retries && disturbanceOf(result) > disturbedFrom; again += 1) {
      const other = await system.run(load);
      if (disturbanceOf(other) < disturbanceOf(result)) result = other;
    }
    samples.push({ variant, store, offered, round, result });
    const what = offered.kind === "closed" ? `${offered.clients} clients` : `${offered.share * 100} % load`;
    onProgress(
      `${store} round ${round + 1}, ${what}, ${variant}: ${result.rate.toFixed(0)}/s, p50 ${result.p50.toFixed(2)} ms, ` +
        `p99 ${result.p99.toFixed(2)} ms${result.failed > 0 ? `, ${result.failed} FAILED` : ""}` +
        `${disturbanceOf(result) > disturbedFrom ? `, others took ${disturbanceOf(result).toFixed(2)} CPUs` : ""}`,
    );
  }

  function loadOf(offered: Offered, variant: string, round: number): Load {
    const { seconds, seed } = options;
    if (offered.kind === "closed") return { ...offered, seconds };
    return { kind: "open", rate: capacityOf(variant) * offered.share, seconds, seed: seed + round };
  }

  function capacityOf(variant: string): number {
    const clients = options.clients.includes(capacityClients) ? capacityClients : Math.max(...options.clients);
    const asked = samples.filter((it) => it.variant === variant && sameOffer(it.offered, { kind: "closed", clients }));
    return median(asked.map(({ result }) => result.rate));
  }
}

export function shuffled<T>(values: readonly T[], random: () => number): T[] {
  return values
    .map((value) => ({ value, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value);
}
