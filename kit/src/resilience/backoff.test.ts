import { expect, test } from "vitest";
import { backoffMs } from "./backoff.ts";

const backoff = { minMs: 50, maxMs: 2_000, growth: 2 };

test("waits grow with each failure, up to a limit", () => {
  const waits = [0, 1, 2, 3, 10, 2_000].map((failures) => backoffMs(failures, backoff, () => 1));
  expect(waits).toEqual([50, 100, 200, 400, 2_000, 2_000]);
});

test("those who failed together come back within the second half of the wait", () => {
  const waits = [0, 0.5, 1].map((random) => backoffMs(1, backoff, () => random));
  expect(waits).toEqual([50, 75, 100]);
});
