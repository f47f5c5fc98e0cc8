import { makeVirtualClock } from "@flotilla/kit/testing";
import { expect, test } from "vitest";
import { Limiter } from "./limiter.ts";

function setUp(options: { points?: number; entriesMax?: number } = {}) {
  const clock = makeVirtualClock();
  const limiter = new Limiter({ clock, points: 3, windowMs: 10_000, entriesMax: 100, ...options });
  const passes = (key: string, points = 1) => {
    if (limiter.waitMs(key, points) > 0) return false;
    limiter.add(key, points);
    return true;
  };
  return { clock, limiter, passes };
}

test("a key has its points in each window, by the clock and no other time", async () => {
  const { clock, limiter, passes } = setUp();
  expect([passes("a", 2), passes("a"), passes("a"), passes("b")]).toEqual([true, true, false, true]);
  await clock.advance(9_999);
  expect(limiter.waitMs("a")).toBe(1);
  await clock.advance(1);
  expect([limiter.waitMs("a"), limiter.count("a")]).toEqual([0, 0]);
  expect(passes("a", 3)).toBe(true);
});

test("asking how long to wait counts nothing, and what is above every window waits for all of one", () => {
  const { limiter, passes } = setUp();
  expect([limiter.waitMs("a", 3), limiter.waitMs("a", 4), limiter.count("a")]).toEqual([0, 10_000, 0]);
  expect(passes("a", 3)).toBe(true);
});

test("what is given back can be taken again, in its own window and not in the next", async () => {
  const { clock, limiter, passes } = setUp();
  passes("a", 3);
  limiter.giveBack("a", 2);
  expect([passes("a", 2), passes("a")]).toEqual([true, false]);
  await clock.advance(10_000);
  limiter.giveBack("a", 3);
  expect(passes("a", 4)).toBe(false);
});

test("no more can be given back than was counted", () => {
  const { limiter, passes } = setUp();
  limiter.add("a");
  limiter.giveBack("a", 2);
  expect([limiter.count("a"), passes("a", 4)]).toEqual([0, false]);
});

test("a key that is blocked stays so for as long as it was said, whatever is given back", async () => {
  const { clock, limiter, passes } = setUp();
  limiter.block("a", 60_000);
  limiter.giveBack("a");
  expect(limiter.count("a")).toBe(4);
  await clock.advance(59_999);
  expect(passes("a")).toBe(false);
  await clock.advance(1);
  expect(passes("a")).toBe(true);
});

test("above the cap the key that was not used longest is forgotten, and no other", async () => {
  const { clock, limiter, passes } = setUp({ points: 1, entriesMax: 3 });
  for (const key of ["a", "b", "c"]) passes(key);
  await clock.advance(1_000);
  for (const key of ["a", "d"]) passes(key);
  expect(["a", "b", "c", "d"].map((key) => limiter.count(key))).toEqual([1, 0, 1, 1]);
  for (let n = 0; n < 1_000; n += 1) passes(`key${n}`);
  const kept = Array.from({ length: 1_000 }, (_, n) => limiter.count(`key${n}`));
  expect(kept.filter((count) => count > 0)).toHaveLength(3);
});
