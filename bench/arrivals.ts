import { setTimeout as delay } from "node:timers/promises";
import { makeRandom } from "../tests/random.ts";

/** A timer can be no finer; all that is due within it begins together, and is due when it begins. Milliseconds. */
const gridMs = 1;

export interface ArrivalOptions {
  /** On average, in a second. */
  readonly rate: number;
  readonly seconds: number;
  readonly seed: number;
}

/**
 * Calls `arrive` for each arrival of a Poisson process, with the milliseconds of `performance.now()` at which it was due:
 * never earlier, and late only when this process is. Resolves when the last one has arrived.
 */
export async function runArrivals({ rate, seconds, seed }: ArrivalOptions, arrive: (dueMs: number) => void) {
  const random = makeRandom(seed);
  const startMs = performance.now();
  const endMs = startMs + seconds * 1_000;
  let nextMs = startMs;
  for (;;) {
    nextMs += (-Math.log(1 - random()) / rate) * 1_000;
    if (nextMs >= endMs) return;
    const dueMs = startMs + Math.ceil((nextMs - startMs) / gridMs) * gridMs;
    while (performance.now() < dueMs) await delay(Math.max(1, Math.floor(dueMs - performance.now())));
    arrive(dueMs);
  }
}
