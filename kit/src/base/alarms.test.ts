import { expect, test } from "vitest";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { type Alarm, alarmsOf } from "./alarms.ts";
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

function makeAlarm(atMs: number, ring: () => void): Alarm {
  return { atMs, ring, before: undefined, after: undefined };
}

test("each rings once, at its time, in whatever order they were set", async () => {
  const { clock, advance } = makeCountingClock();
  const alarms = alarmsOf(clock);
  const startMs = clock.monotonicMs();
  const rang: [string, number][] = [];
  for (const [name, afterMs] of Object.entries({ late: 30, soon: 10, later: 40, middle: 20 })) {
    alarms.set(makeAlarm(startMs + afterMs, () => rang.push([name, clock.monotonicMs() - startMs])));
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
  const second = makeAlarm(atMs, () => rang.push("second"));
  const third = makeAlarm(atMs, () => rang.push("third"));
  const first = makeAlarm(atMs, () => {
    rang.push("first");
    alarms.cancel(second);
  });
  for (const alarm of [first, second, third]) alarms.set(alarm);
  alarms.cancel(third);
  await advance(20);
  alarms.cancel(third);
  expect(rang).toEqual(["first"]);
});

test("one that is set twice rings once, and one that rang can be set again", async () => {
  const { clock, advance } = makeCountingClock();
  const alarms = alarmsOf(clock);
  let rang = 0;
  const alarm = makeAlarm(clock.monotonicMs() + 10, () => {
    rang += 1;
  });
  alarms.set(alarm);
  alarms.set(alarm);
  await advance(20);
  expect(rang).toBe(1);
  alarms.set(alarm);
  await advance(0);
  expect(rang).toBe(2);
});

test("one that was never set, or was cancelled before, can be cancelled without harm to its neighbours", async () => {
  const { clock, counted, advance } = makeCountingClock();
  const alarms = alarmsOf(clock);
  const rang: string[] = [];
  const [one, two, never] = ["one", "two", "never"].map((name) =>
    makeAlarm(clock.monotonicMs() + 10, () => rang.push(name)),
  ) as [Alarm, Alarm, Alarm];
  for (const alarm of [one, two]) alarms.set(alarm);
  alarms.cancel(never);
  alarms.cancel(one);
  alarms.cancel(one);
  await advance(20);
  expect(rang).toEqual(["two"]);
  expect(counted.live.size).toBe(0);
});

test("what is set while one rings, for a time that is over too, rings all the same", async () => {
  const { clock, advance } = makeCountingClock();
  const alarms = alarmsOf(clock);
  const startMs = clock.monotonicMs();
  let rang = 0;
  const inner = makeAlarm(startMs, () => {
    rang += 1;
  });
  alarms.set(makeAlarm(startMs + 10, () => alarms.set(inner)));
  await advance(20);
  expect(rang).toBe(1);
});

test("ten thousand that are cancelled in time cost a few timers, not one each, and leave none", async () => {
  const { clock, counted, advance } = makeCountingClock();
  const alarms = alarmsOf(clock);
  const nobody = () => expect.fail("nobody is late");
  const longest = makeAlarm(clock.monotonicMs() + 30_000, nobody);
  alarms.set(longest);
  for (let call = 0; call < 10_000; call += 1) {
    const alarm = makeAlarm(clock.monotonicMs() + 10_000, nobody);
    alarms.set(alarm);
    if (call % 10 === 0) await advance(10);
    alarms.cancel(alarm);
  }
  expect(counted.timers).toBeLessThanOrEqual(4);
  alarms.cancel(longest);
  expect(counted.live.size).toBe(0);
});
