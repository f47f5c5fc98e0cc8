import { expect, test } from "vitest";
import { makeVirtualClock } from "./virtual-clock.ts";

const after = (clock: ReturnType<typeof makeVirtualClock>, ms: number) =>
  new Promise<number>((resolve) => clock.after(ms, () => resolve(clock.monotonicMs())));

test("of several things that are run at once each takes its own time, and no other", async () => {
  const clock = makeVirtualClock();
  const slow = async () => {
    let atMs = 0;
    for (let step = 0; step < 10; step += 1) atMs = await after(clock, 10);
    return atMs;
  };
  const quick = after(clock, 30);
  expect(await Promise.all([clock.run(slow()), clock.run(quick), clock.run(slow())])).toEqual([100, 30, 100]);
  expect(clock.monotonicMs()).toBe(100);
});

test("what nothing will ever settle is said to be stuck, all of it", async () => {
  const clock = makeVirtualClock();
  const never = () => clock.run(Promise.withResolvers<void>().promise);
  const outcomes = await Promise.allSettled([never(), clock.run(after(clock, 5)), never()]);
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "rejected"]);
  expect(await clock.run(after(clock, 5))).toBe(10);
});
