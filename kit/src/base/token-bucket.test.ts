import { expect, test } from "vitest";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeTokenBucket } from "./token-bucket.ts";

const takeAll = (bucket: { take(): boolean }) => {
  let taken = 0;
  while (bucket.take()) taken += 1;
  return taken;
};

test("one second's worth passes at once, and then what time brings", async () => {
  const clock = makeVirtualClock();
  const bucket = makeTokenBucket(100, clock);
  expect(takeAll(bucket)).toBe(100);
  await clock.advance(50);
  expect(takeAll(bucket)).toBe(5);
  await clock.advance(60_000);
  expect(takeAll(bucket)).toBe(100);
});

test("without a limit everything passes", () => {
  const bucket = makeTokenBucket(Number.POSITIVE_INFINITY, makeVirtualClock());
  for (let i = 0; i < 1_000; i += 1) expect(bucket.take()).toBe(true);
});
