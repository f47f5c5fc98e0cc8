import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { makePace } from "./pace.ts";

test("so many messages are read in one turn of the event loop; readers that wait go on one after the other", async () => {
  const pace = makePace(4)!;
  const read: string[] = [];
  const reader = async (name: string, messages: number) => {
    for (let i = 0; i < messages; i += 1) {
      await pace.next();
      read.push(name);
    }
  };
  const readers = [reader("a", 6), reader("b", 2), reader("c", 3)];
  const counts: number[] = [];
  for (let turn = 0; turn < 3; turn += 1) {
    await nextTurn();
    counts.push(read.length);
  }
  await Promise.all(readers);
  expect(counts).toEqual([8, 11, 11]);
  expect(read.slice(0, 8).sort().join("")).toBe("aaabbccc");
});

test("no pace is kept without a bound", () => {
  expect(makePace(Number.POSITIVE_INFINITY)).toBeUndefined();
});
