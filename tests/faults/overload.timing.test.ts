import { expect, test } from "vitest";
import { measureOverload, overloadTable } from "./overload.ts";

// How much is placed depends on who else is at work on the machine. `kit/src/resilience/goodput.test.ts` says how much it is of
// what can be done, and `npm run chaos -- --overload` measures it.
test("four times what can be placed is refused in part, and orders go on being placed, for who stands beside it too", async () => {
  const report = await measureOverload({ customers: 144, rounds: 1, seconds: 2, seed: 1, factors: [4] });
  const { refused, placed, beside } = report.offers[0]!;
  expect(refused).toBeGreaterThan(0);
  expect(placed).toBeGreaterThan(0);
  expect(beside.placedMs.length).toBeGreaterThan(0);
  expect(overloadTable(report)).toContain("| 4× |");
});
