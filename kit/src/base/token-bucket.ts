/**
 * Lets `calls` in each `perMs` milliseconds through on average. Times are what `Clock.monotonicMs` says; of whole
 * milliseconds nothing is ever rounded, because the level counts in calls × milliseconds.
 */
export interface TokenBucket {
  /** Whole milliseconds until one more may pass, 0 when it may at once. Takes nothing. */
  waitMs(nowMs: number): number;
  /** Whether one more passes now. */
  take(nowMs: number): boolean;
}

export interface Rate {
  readonly calls: number;
  readonly perMs: number;
  /** How many may pass at once after a pause. Default: as many as `calls`. */
  readonly burst?: number;
}

/** @param rate with infinite `calls` everything passes. */
export function makeTokenBucket({ calls, perMs, burst = calls }: Rate): TokenBucket {
  if (calls === Number.POSITIVE_INFINITY) return { waitMs: () => 0, take: () => true };
  const full = burst * perMs;
  let level = full;
  let levelAtMs = Number.NEGATIVE_INFINITY;
  const levelNow = (nowMs: number) => Math.min(full, level + (nowMs - levelAtMs) * calls);
  return {
    waitMs: (nowMs) => Math.max(0, Math.ceil((perMs - levelNow(nowMs)) / calls)),
    take(nowMs) {
      const found = levelNow(nowMs);
      if (found < perMs) return false;
      level = found - perMs;
      levelAtMs = nowMs;
      return true;
    },
  };
}
