/**
 * Lets `calls` in each `perMs` milliseconds through on average. Times are what `Clock.monotonicMs` says; of whole
 * milliseconds nothing is ever rounded, because the level counts in calls × milliseconds.
 */
export interface TokenBucket {
  /** Whole milliseconds until one more may pass, 0 when it may at once. Takes nothing. */
  waitMs(nowMs: number): number;
  /** Whether `calls` more, by default one, pass now. Takes all of them or none. */
  take(nowMs: number, calls?: number): boolean;
  /** Takes `calls` whatever the level is: a debt must be made up before one more passes. */
  spend(nowMs: number, calls: number): void;
}

export interface Rate {
  readonly calls: number;
  readonly perMs: number;
  /** How many may pass at once after a pause. Default: as many as `calls`. */
  readonly burst?: number;
}

/** @param rate with infinite `calls` everything passes. */
export function makeTokenBucket({ calls: rate, perMs, burst = rate }: Rate): TokenBucket {
  if (rate === Number.POSITIVE_INFINITY) return { waitMs: () => 0, take: () => true, spend: () => {} };
  const full = burst * perMs;
  let level = full;
  let levelAtMs = Number.NEGATIVE_INFINITY;
  const levelNow = (nowMs: number) => Math.min(full, level + (nowMs - levelAtMs) * rate);
  const spend = (nowMs: number, calls: number) => {
    level = levelNow(nowMs) - calls * perMs;
    levelAtMs = nowMs;
  };
  return {
    waitMs: (nowMs) => Math.max(0, Math.ceil((perMs - levelNow(nowMs)) / rate)),
    take(nowMs, calls = 1) {
      if (levelNow(nowMs) < calls * perMs) return false;
      spend(nowMs, calls);
      return true;
    },
    spend,
  };
}
