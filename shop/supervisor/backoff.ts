export interface Backoff {
  /** Wait before the first restart. Milliseconds. */
  readonly firstMs: number;
  /** No wait is longer. Milliseconds. */
  readonly longestMs: number;
  /** A service that was up for this long starts counting anew. Milliseconds. */
  readonly forgiveMs: number;
}

/** A service that crashes at once costs at most one start per 2.5 s, and one that crashed once is back in 0.1 s. */
export const backoffDefault: Backoff = { firstMs: 100, longestMs: 5_000, forgiveMs: 10_000 };

/**
 * Milliseconds to wait before the restart after the `crashes`-th crash in a row: doubling, and of that between the half
 * and the whole, so that services which fell together do not return together. `random` is in [0, 1).
 */
export function restartDelayMs(crashes: number, { firstMs, longestMs }: Backoff, random: () => number): number {
  const whole = Math.min(longestMs, firstMs * 2 ** Math.max(0, crashes - 1));
  return Math.round(whole / 2 + (whole / 2) * random());
}
