import { expect, test } from "vitest";
import { makeRandom } from "../random.ts";
import { isFlat, slopeOf } from "./slope.ts";

const points = (valueAt: (at: number) => number) => Array.from({ length: 30 }, (_, at) => ({ at, value: valueAt(at) }));

test("a line has its slope, and no error", () => {
  const slope = slopeOf(points((at) => 7 + 3 * at));
  expect(slope.perUnit).toBeCloseTo(3);
  expect(slope.error).toBeCloseTo(0);
  expect([isFlat(slope, 2.9), isFlat(slope, 3.1)]).toEqual([false, true]);
});

test("noise is flat, and does not hide what grows", () => {
  const random = makeRandom(5);
  expect(isFlat(slopeOf(points(() => random() * 10)), 0.1)).toBe(true);
  expect(isFlat(slopeOf(points((at) => random() * 10 + at)), 0.1)).toBe(false);
});
