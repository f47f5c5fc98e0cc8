import type { Clock } from "@flotilla/kit";

/**
 * How often an entry is moved to the end, if it is used all the time. A Map that entries leave and enter with each call
 * keeps what it held before from being collected (docs/performance.md). Milliseconds.
 */
export const moveMs = 1_000;

interface Entry<V> {
  readonly value: V;
  movedAtMs: number;
}

/** Values by key, at most so many; above that the one that was not used longest goes, to the second. */
export class RecentlyUsed<V> {
  readonly #clock: Clock;
  readonly #max: number;
  /** The most recently used last. */
  readonly #entries = new Map<string, Entry<V>>();

  constructor(clock: Clock, max: number) {
    this.#clock = clock;
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - entry.movedAtMs >= moveMs) {
      entry.movedAtMs = nowMs;
      this.#entries.delete(key);
      this.#entries.set(key, entry);
    }
    return entry.value;
  }

  set(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, movedAtMs: this.#clock.monotonicMs() });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#max) break;
      this.#entries.delete(oldest);
    }
  }

  delete(key: string): boolean {
    return this.#entries.delete(key);
  }
}
