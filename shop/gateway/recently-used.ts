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
  readonly #max: number;
  /** The most recently used last. */
  readonly #entries = new Map<string, Entry<V>>();

  constructor(max: number) {
    this.#max = max;
  }

  get(key: string, nowMs: number): V | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    if (nowMs - entry.movedAtMs >= moveMs) {
      entry.movedAtMs = nowMs;
      this.#entries.delete(key);
      this.#entries.set(key, entry);
    }
    return entry.value;
  }

  set(key: string, value: V, nowMs: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, movedAtMs: nowMs });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#max) break;
      this.#entries.delete(oldest);
    }
  }

  delete(key: string): boolean {
    return this.#entries.delete(key);
  }
}
