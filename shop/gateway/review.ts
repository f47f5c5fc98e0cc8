import type { Clock } from "@flotilla/kit";

/** Between two reviews of one user's places. Milliseconds. */
const reviewEveryMs = 1_000;

/** Runs `look` at most once a second, and once at a time for all callers meanwhile. */
export function makeReview(clock: Clock, look: () => Promise<void>): () => Promise<void> {
  let underWay: Promise<void> | undefined;
  let endedAtMs = Number.NEGATIVE_INFINITY;
  return async () => {
    if (!underWay && clock.monotonicMs() - endedAtMs >= reviewEveryMs) {
      underWay = look().finally(() => {
        underWay = undefined;
        endedAtMs = clock.monotonicMs();
      });
    }
    await underWay;
  };
}
