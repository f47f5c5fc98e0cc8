import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffDefault, restartDelayMs } from "./backoff.ts";

test("the wait doubles from 100 ms up to 5 s", () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 8, 500].map((crashes) => restartDelayMs(crashes, backoffDefault, () => 1));
  expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
});

test("jitter takes away at most half, so a crash loop never becomes a busy loop", () => {
  const crashes = fc.integer({ min: 1, max: 10_000 });
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(crashes, random, (n, r) => {
      const whole = restartDelayMs(n, backoffDefault, () => 1);
      const wait = restartDelayMs(n, backoffDefault, () => r);
      expect(wait).toBeGreaterThanOrEqual(whole / 2);
      expect(wait).toBeLessThanOrEqual(whole);
    }),
  );
});
