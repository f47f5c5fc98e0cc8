import { expect, test } from "vitest";
import { makeRandom } from "../random.ts";
import { storm } from "./storm.ts";

const seed = 20261125;

test(`of orders placed in a storm of kills, stalls and a bad network, none is lost, doubled or invented (seed ${seed})`, async () => {
  const report = await storm({ random: makeRandom(seed), durationMs: 8_000, customers: 4, pauseMsMax: 600 });
  expect(report.violations).toEqual([]);
  expect(report.faults.size).toBe(9);
  expect(report.history.intents.every(({ acknowledged }) => acknowledged)).toBe(true);
  expect(report.history.errors.has("unavailable")).toBe(true);
  // Every error has a code that tells what to do, and none of them is a fault of ours.
  const expected = ["unavailable", "deadline_exceeded", "unauthenticated"];
  expect([...report.history.errors.keys()].filter((code) => !expected.includes(code))).toEqual([]);
}, 90_000);
