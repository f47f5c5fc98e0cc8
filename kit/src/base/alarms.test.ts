import { expect, test } from "vitest";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { alarmsOf } from "./alarms.ts";
import type { Clock } from "./clock.ts";

/** A virtual clock that counts the timers that were set on it, and knows those that still run. */
function makeCountingClock() {
  const virtual = makeVirtualClock();
  const counted = { timers: 0, live: new Set<object>() };
  const clock: Clock = {
    now: () => virtual.now(),
    monotonicMs: () => virtual.monotonicMs(),
    after(delayMs, run) {
      counted.timers += 1;
      const timer = {};
      counted.live.add(timer);
      const cancel = virtual.after(delayMs, () => {
        counted.live.delete(timer);
        run();
      });
      return () => {
        counted.live.delete(timer);
        cancel();
      };
    },
  };
  return { clock, counted, advance: (ms: number) => virtual.advance(ms) };
}

test("each rings once, at its time, in whatever order they were set", async () => {
  const { clock, advance } = makeCountingClock();
  const alarms = alarmsOf(clock);
  const startMs = clock.monotonicMs();
  const rang: [string, number][] = [];
  for (const [name, afterMs] of Object.entries({ late: 30, soon: 10, later: 40, middle: 20 })) {
    alarms.set(startMs + afterMs, () => rang.push([name, clock.monotonicMs() - startMs]));
  }
  await advance(100);
  expect(rang).toEqual([
    ["soon", 10],
    ["middle", 20],
    ["late", 30],
    ["later", 40],
  ]);
});

test("one that is cancelled does not ring, also when another cancels it that is due at once", async () => {
  const { clock, advance } = makeCountingClock();
  const alarms = alarmsOf(clock);
  const atMs = clock.monotonicMs() + 10;
  const rang: string[] = [];
  alarms.set(atMs, () => {
    rang.push("first");
    cancelSecond();
  });
  const cancelSecond = alarms.set(atMs, () => rang.push("second"));
  const cancelThird = alarms.set(atMs, () => rang.push("third"));
  cancelThird();
  await advance(20);
  cancelThird();
  expect(rang).toEqual(["first"]);
});

test("what is set while one rings, for a time that is over too, rings all the same", async () => {
  const { clock, advance } = makeCountingClock();
  const alarms = alarmsOf(clock);
  const startMs = clock.monotonicMs();
  let rang = 0;
  alarms.set(startMs + 10, () => alarms.set(startMs, () => (rang += 1)));
  await advance(20);
  expect(rang).toBe(1);
});

test("ten thousand that are cancelled in time cost a few timers, not one each, and leave none", async () => {
  const { clock, counted, advance } = makeCountingClock();
  const alarms = alarmsOf(clock);
  const cancelLongest = alarms.set(clock.monotonicMs() + 30_000, () => expect.fail("nobody is late"));
  for (let call = 0; call < 10_000; call += 1) {
    const cancel = alarms.set(clock.monotonicMs() + 10_000, () => expect.fail("nobody is late"));
    if (call % 10 === 0) await advance(10);
    cancel();
  }
  expect(counted.timers).toBeLessThanOrEqual(4);
  cancelLongest();
  expect(counted.live.size).toBe(0);
});
