/** How long is waited between two attempts. Milliseconds. */
export interface Backoff {
  readonly minMs: number;
  readonly maxMs: number;
  /** Each wait to the one before. */
  readonly growth: number;
}

/**
 * The wait after an attempt that came after `failures` others: longer with each of them, and of that between the half and the
 * whole, so that those who failed together do not come back together.
 *
 * @param random from 0 to 1.
 * @returns milliseconds.
 */
export function backoffMs(failures: number, { minMs, maxMs, growth }: Backoff, random: () => number): number {
  return Math.min(minMs * growth ** failures, maxMs) * (0.5 + random() / 2);
}
