import { expect, test } from "vitest";
import { makeTokenBucket, type TokenBucket } from "./token-bucket.ts";

function takeAll(bucket: TokenBucket, nowMs: number): number {
  let taken = 0;
  while (bucket.take(nowMs)) taken += 1;
  return taken;
}

test("a burst passes at once, and then what time brings", () => {
  const bucket = makeTokenBucket({ calls: 100, perMs: 1_000 });
  expect(takeAll(bucket, 0)).toBe(100);
  expect(takeAll(bucket, 50)).toBe(5);
  expect(takeAll(bucket, 60_050)).toBe(100);
  const bursting = makeTokenBucket({ calls: 10, perMs: 1_000, burst: 20 });
  expect([takeAll(bursting, 0), takeAll(bursting, 100), takeAll(bursting, 10_000)]).toEqual([20, 1, 20]);
});

test("says how long to wait, to the millisecond, and asking takes nothing", () => {
  const bucket = makeTokenBucket({ calls: 3, perMs: 1_000, burst: 1 });
  expect([bucket.waitMs(0), bucket.waitMs(0), bucket.take(0), bucket.waitMs(0)]).toEqual([0, 0, true, 334]);
  expect([bucket.waitMs(333), bucket.take(333)]).toEqual([1, false]);
  expect([bucket.waitMs(334), bucket.take(334)]).toEqual([0, true]);
});

test("over a million calls not one is lost or won by rounding", () => {
  // A third of a call each millisecond: no binary fraction holds it.
  const bucket = makeTokenBucket({ calls: 7, perMs: 21, burst: 1 });
  let taken = 0;
  for (let nowMs = 0; nowMs < 3_000_000; nowMs += 1) if (bucket.take(nowMs)) taken += 1;
  expect(taken).toBe(1_000_000);
});

test("without a limit everything passes", () => {
  const bucket = makeTokenBucket({ calls: Number.POSITIVE_INFINITY, perMs: 1_000 });
  for (let i = 0; i < 1_000; i += 1) expect(bucket.take(0)).toBe(true);
  expect(bucket.waitMs(0)).toBe(0);
});
