import { makeVirtualClock } from "@flotilla/kit/testing";
import { expect, test } from "vitest";
import { makeSparseLog } from "./sparse-log.ts";

test("what repeats without end is logged at once, and then once a minute with its number", async () => {
  const clock = makeVirtualClock();
  const said: [string, number][] = [];
  const log = makeSparseLog<string>(clock, (last, count) => said.push([last, count]));
  log("first");
  for (let n = 0; n < 1_000; n += 1) log(`more ${n}`);
  expect(said).toEqual([["first", 1]]);
  await clock.advance(59_999);
  expect(said).toHaveLength(1);
  await clock.advance(1);
  expect(said).toEqual([
    ["first", 1],
    ["more 999", 1_000],
  ]);
});

test("after a minute without any the next one is logged at once", async () => {
  const clock = makeVirtualClock();
  const said: [string, number][] = [];
  const log = makeSparseLog<string>(clock, (last, count) => said.push([last, count]));
  log("first");
  await clock.advance(60_000);
  log("second");
  await clock.advance(180_000);
  log("third");
  expect(said).toEqual([
    ["first", 1],
    ["second", 1],
    ["third", 1],
  ]);
});
