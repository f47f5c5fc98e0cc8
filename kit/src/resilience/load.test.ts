import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeLoad, makeQueueWatch } from "./load.ts";

/** That a call has, as a patient caller asks for. */
const timeMs = 2_000;

/** Something has waited `waitedMs`, in each of `count` moments 10 ms apart. @returns in how many of them it was refused. */
function wait(queue: ReturnType<typeof makeQueueWatch>, fromMs: number, count: number, waitedMs: number): number {
  const moments = Array.from({ length: count }, (_, n) => fromMs + n * 10);
  return moments.filter((nowMs) => queue.waited(waitedMs, timeMs, nowMs)).length;
}

test("a queue that is not empty for a second stands, until it is empty", () => {
  const queue = makeQueueWatch();
  queue.emptied(0);
  expect(wait(queue, 0, 100, 200)).toBe(0);
  expect(wait(queue, 1_000, 100, 200)).toBe(100);
  expect(queue.isStanding).toBe(true);
  queue.emptied(2_000);
  expect(queue.isStanding).toBe(false);
  expect(wait(queue, 2_000, 5, 200)).toBe(0);
});

test("one that was empty meanwhile does not, however long the waits: its process got too little time", () => {
  const queue = makeQueueWatch();
  for (let nowMs = 0; nowMs < 60_000; nowMs += 500) {
    queue.emptied(nowMs);
    expect(wait(queue, nowMs, 40, 400)).toBe(0);
  }
});

test("one in which nobody waits for long does not either", () => {
  const queue = makeQueueWatch();
  queue.emptied(0);
  expect(wait(queue, 0, 1_000, 190)).toBe(0);
});

test("one that stood a moment ago stands again sooner", () => {
  const queue = makeQueueWatch();
  queue.emptied(0);
  wait(queue, 0, 101, 200);
  queue.emptied(1_010);
  expect(wait(queue, 1_010, 10, 100)).toBe(0);
  expect(wait(queue, 1_110, 10, 100)).toBe(10);
  queue.emptied(1_210);
  queue.emptied(9_000);
  expect(wait(queue, 9_000, 99, 200)).toBe(0);
});

test("a process is overloaded for a while after it refused a call", async () => {
  const clock = makeVirtualClock();
  const load = makeLoad(clock);
  expect(load.isOverloaded).toBe(false);
  await clock.advance(10_000);
  load.refused();
  expect(load).toMatchObject({ isOverloaded: true, shed: 1 });
  await clock.advance(999);
  expect(load.isOverloaded).toBe(true);
  await clock.advance(1);
  expect(load).toMatchObject({ isOverloaded: false, shed: 1 });
});

test("a process refuses 64 of the calls that wait in one turn of the event loop, in their order, and counts all at once", async () => {
  const load = makeLoad(makeVirtualClock());
  const refused: number[] = [];
  const refuse = (from: number, to: number) => {
    for (let n = from; n < to; n += 1) load.refuse(() => refused.push(n));
  };
  refuse(0, 140);
  expect(load.shed).toBe(140);
  const counts = [refused.length];
  for (let turn = 0; turn < 3; turn += 1) {
    await nextTurn();
    if (turn === 1) refuse(140, 200);
    counts.push(refused.length);
  }
  expect(counts).toEqual([64, 128, 192, 200]);
  expect(refused).toEqual(Array.from({ length: 200 }, (_, n) => n));
});
