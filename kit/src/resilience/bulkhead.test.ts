import { expect, test } from "vitest";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeBulkhead } from "./bulkhead.ts";

const refusal = () => new Error("full");

test("work begins in the turn in which it was asked for, when there is a place", () => {
  const bulkhead = makeBulkhead({ runningMax: 1, waitingMax: 1, waitMsMax: 50, refusal, clock: makeVirtualClock() });
  let hasBegun = false;
  void bulkhead.run(async () => {
    hasBegun = true;
  });
  expect(hasBegun).toBe(true);
});

test("with infinite time whoever waits is given a place however late", async () => {
  const clock = makeVirtualClock();
  const waitMsMax = Number.POSITIVE_INFINITY;
  const bulkhead = makeBulkhead({ runningMax: 1, waitingMax: 1, waitMsMax, refusal, clock });
  const first = Promise.withResolvers<string>();
  const answers = [bulkhead.run(() => first.promise), bulkhead.run(async () => "second")];
  await expect(bulkhead.run(async () => "third")).rejects.toThrow("full");
  await clock.advance(1_000_000);
  expect(bulkhead.report()).toEqual({ underWay: 1, waiting: 1, refused: 1 });
  first.resolve("first");
  expect(await Promise.all(answers)).toEqual(["first", "second"]);
  expect(bulkhead.report()).toEqual({ underWay: 0, waiting: 0, refused: 1 });
});
