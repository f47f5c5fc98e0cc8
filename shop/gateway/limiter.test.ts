import { makeVirtualClock } from "@flotilla/kit/testing";
import { expect, test } from "vitest";
import { makeLimiter } from "./limiter.ts";

function setUp(options: { points?: number; entriesMax?: number } = {}) {
  const clock = makeVirtualClock();
  const limiter = makeLimiter({ clock, points: 3, windowMs: 10_000, entriesMax: 100, ...options });
  const passes = (key: string, points = 1) =>
    limiter.consume(key, points).then(
      () => true,
      () => false,
    );
  return { clock, limiter, passes };
}

test("a key has its points in each window, by the clock and no other time", async () => {
  const { clock, limiter, passes } = setUp();
  expect([await passes("a", 2), await passes("a"), await passes("a"), await passes("b")]).toEqual([
    true,
    true,
    false,
    true,
  ]);
  await clock.advance(9_999);
  await expect(limiter.consume("a")).rejects.toMatchObject({ msBeforeNext: 1 });
  await clock.advance(1);
  expect(await limiter.get("a")).toBeNull();
  expect(await passes("a", 3)).toBe(true);
});

test("what is given back can be taken again, in its own window and not in the next", async () => {
  const { clock, limiter, passes } = setUp();
  await passes("a", 3);
  await limiter.reward("a", 2);
  expect([await passes("a", 2), await passes("a")]).toEqual([true, false]);
  await clock.advance(10_000);
  await limiter.reward("a", 3);
  expect(await passes("a", 4)).toBe(false);
});

test("a key that is blocked stays so for as long as it was said", async () => {
  const { clock, limiter, passes } = setUp();
  await limiter.block("a", 60);
  await clock.advance(59_999);
  expect(await passes("a")).toBe(false);
  await clock.advance(1);
  expect(await passes("a")).toBe(true);
});

test("above the cap the key that was not used longest is forgotten, and no other", async () => {
  const { limiter, passes } = setUp({ points: 1, entriesMax: 3 });
  for (const key of ["a", "b", "c", "a", "d"]) await passes(key);
  const counted = await Promise.all(["a", "b", "c", "d"].map(async (key) => (await limiter.get(key)) !== null));
  expect(counted).toEqual([true, false, true, true]);
  for (let n = 0; n < 1_000; n += 1) await passes(`key${n}`);
  const kept = await Promise.all(Array.from({ length: 1_000 }, (_, n) => limiter.get(`key${n}`)));
  expect(kept.filter((it) => it !== null)).toHaveLength(3);
});
