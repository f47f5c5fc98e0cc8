import type { Clock } from "./clock.ts";

/** Lets `perSecond` through on average, and `burst` at once; by default as many as one second brings. */
export interface TokenBucket {
  /** Whether one more may pass now. */
  take(): boolean;
}

export function makeTokenBucket(perSecond: number, clock: Clock, burst = perSecond): TokenBucket {
  let tokens = burst;
  let filledAtMs = clock.monotonicMs();
  return {
    take() {
      const nowMs = clock.monotonicMs();
      tokens = Math.min(burst, tokens + ((nowMs - filledAtMs) / 1_000) * perSecond);
      filledAtMs = nowMs;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
