import type { Clock } from "../base/clock.ts";
import { makeTokenBucket } from "./token-bucket.ts";

/** Retries that one call earns; with them a destination that fails everything is sent 1.2 times what it would be. */
const perCall = 0.2;
/** What may be saved: a fifth of a second's calls, about. Retries. */
const savedMax = 100;
/** For who seldom calls. */
const perSecond = 10;

/** How often calls may be repeated, so that retries do not keep down what has just come up. After Google's SRE book, ch. 21. */
export interface RetryBudget {
  /** For each call, before its first attempt. */
  earn(): void;
  /** Whether one may be repeated now. */
  take(): boolean;
  /** Calls that it did not let be repeated. */
  readonly refused: number;
}

export function makeRetryBudget(clock: Clock): RetryBudget {
  const few = makeTokenBucket({ calls: perSecond, perMs: 1_000 });
  let saved = 0;
  let refused = 0;
  return {
    earn() {
      saved = Math.min(saved + perCall, savedMax);
    },
    take() {
      if (saved < 1) {
        const isGranted = few.take(clock.monotonicMs());
        if (!isGranted) refused += 1;
        return isGranted;
      }
      saved -= 1;
      return true;
    },
    get refused() {
      return refused;
    },
  };
}
