import { setTimeout as delay } from "node:timers/promises";

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

/** From 0 to 1, the same for the same seed: mulberry32. */
export function makeRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
