import { expect, test } from "vitest";
import { measureOverload, overloadTable } from "./overload.ts";

/** On a quiet machine nearly all of it; others at work take from what can be done at any moment. */
const goodputMin = 0.1;

test("several times what can be placed is refused soon, and orders go on being placed", async () => {
  const report = await measureOverload({ customers: 32, rounds: 1, seconds: 2, seed: 1, factors: [5] });
  const [offered] = report.offers;
  expect(offered!.refused).toBeGreaterThan(offered!.placed);
  expect(offered!.goodput).toBeGreaterThan(goodputMin);
  expect(offered!.beside.placedMs.length + offered!.beside.refusedMs.length).toBeGreaterThan(10);
  expect(overloadTable(report)).toContain("| 5× |");
});
