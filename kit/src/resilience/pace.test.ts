import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makePaces, type Pace } from "./pace.ts";

const clock = makeVirtualClock();

/** Reads so many messages, one after the other, and notes each. */
async function reader(pace: Pace, messages: number, note: () => void): Promise<void> {
  for (let i = 0; i < messages; i += 1) {
    await pace.next();
    note();
  }
}

test("so many messages are read in one turn of the event loop; readers that wait go on one after the other", async () => {
  const pace = makePaces(4, clock)!.join();
  const read: string[] = [];
  const readers = Object.entries({ a: 6, b: 2, c: 3 }).map(([name, count]) =>
    reader(pace, count, () => read.push(name)),
  );
  const counts: number[] = [];
  for (let turn = 0; turn < 3; turn += 1) {
    await nextTurn();
    counts.push(read.length);
  }
  await Promise.all(readers);
  expect(counts).toEqual([8, 11, 11]);
  expect(read.slice(0, 8).sort().join("")).toBe("aaabbccc");
});

test("an address with many sessions delays itself: another's next message is read in the next turn of the event loop", async () => {
  const paces = makePaces(4, clock)!;
  const crowded = paces.join();
  let crowd = 0;
  const readers = Array.from({ length: 200 }, () => reader(crowded, 3, () => (crowd += 1)));
  const other = paces.join();
  let own = 0;
  const honest = reader(other, 5, () => (own += 1));
  const progress: number[] = [];
  for (let turn = 0; turn < 5; turn += 1) {
    await nextTurn();
    progress.push(own);
  }
  expect(progress).toEqual([1, 2, 3, 4, 5]);
  // The rest of each turn is the crowd's: of the first, all four, before the other came.
  expect(crowd).toBe(4 + 5 * 3);
  await Promise.all([...readers, honest]);
  expect(crowd).toBe(600);
});

test("the unread messages of one address stand for its own calls alone", async () => {
  const own = makeVirtualClock();
  const paces = makePaces(4, own)!;
  const [crowded, other] = [paces.join(), paces.join()];
  const stands = ({ unread }: Pace) => unread.waited(500, 2_000, own.monotonicMs());
  crowded.filled();
  crowded.filled();
  expect(stands(crowded)).toBe(false);
  await own.advance(1_000);
  crowded.emptied();
  other.filled();
  expect([stands(crowded), stands(other)]).toEqual([true, false]);
  crowded.emptied();
  expect([stands(crowded), crowded.unread.isStanding]).toEqual([false, false]);
  await own.advance(1_000);
  expect([stands(crowded), stands(other)]).toEqual([false, true]);
});

test("no pace is kept without a bound", () => {
  expect(makePaces(Number.POSITIVE_INFINITY, clock)).toBeUndefined();
});
