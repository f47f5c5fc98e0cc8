import { expect, test } from "vitest";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeRetryBudget } from "./retry-budget.ts";

function setUp() {
  const clock = makeVirtualClock();
  const budget = makeRetryBudget(clock);
  const earn = (calls: number) => {
    for (let n = 0; n < calls; n += 1) budget.earn();
  };
  /** Retries that are let through now. */
  const spend = () => {
    let count = 0;
    while (budget.take()) count += 1;
    return count;
  };
  return { clock, budget, earn, spend };
}

test("a caller that seldom calls has ten retries a second", async () => {
  const { clock, budget, spend } = setUp();
  expect(spend()).toBe(10);
  expect(budget.refused).toBe(1);
  await clock.advance(500);
  expect(spend()).toBe(5);
});

test("calls earn a fifth of a retry each, and a hundred are saved at most, however long all went well", () => {
  const { earn, spend } = setUp();
  spend();
  earn(100);
  // Fifths are no binary fractions.
  expect(Math.abs(spend() - 20)).toBeLessThanOrEqual(1);
  earn(100_000);
  expect(spend()).toBe(100);
});
