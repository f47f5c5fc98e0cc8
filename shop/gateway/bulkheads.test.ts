import { makeVirtualClock } from "@flotilla/kit/testing";
import { expect, test } from "vitest";
import { makeBulkheads } from "./bulkheads.ts";

const limits = { runningMax: 2, waitingMax: 2, waitMsMax: 50 };
const busy = { code: "resource_exhausted", reason: "destination_busy", retryAfterMs: 500 };

function setUp() {
  const clock = makeVirtualClock();
  const bulkheads = makeBulkheads(clock, limits);
  const begun: string[] = [];
  /** A call that lasts until `end`. */
  const call = (to: "users" | "orders", name: string) => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const answer = bulkheads.run(to, () => {
      begun.push(name);
      return promise;
    });
    answer.then(undefined, () => {});
    return { answer, end: () => resolve(name) };
  };
  return { clock, bulkheads, begun, call };
}

test("so many calls go there at once, the next ones when one of them has ended, in order", async () => {
  const { clock, bulkheads, begun, call } = setUp();
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => call("orders", name));
  await clock.settle();
  expect(begun).toEqual(["a", "b"]);
  expect(bulkheads.report("orders")).toEqual({ underWay: 2, waiting: 2, refused: 0 });
  for (const one of [b, a, c, d]) {
    one!.end();
    await one!.answer;
  }
  expect(begun).toEqual(["a", "b", "c", "d"]);
  expect(bulkheads.report("orders")).toEqual({ underWay: 0, waiting: 0, refused: 0 });
});

test("who would be too many, or waits too long, is refused", async () => {
  const { clock, bulkheads, begun, call } = setUp();
  const [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map((name) => call("orders", name));
  await expect(e!.answer).rejects.toMatchObject(busy);
  await clock.advance(limits.waitMsMax);
  await expect(c!.answer).rejects.toMatchObject(busy);
  await expect(d!.answer).rejects.toMatchObject(busy);
  expect(bulkheads.report("orders")).toEqual({ underWay: 2, waiting: 0, refused: 3 });
  for (const one of [a, b]) one!.end();
  await Promise.all([a!.answer, b!.answer]);
  expect(begun).toEqual(["a", "b"]);
});

test("what hangs at one destination keeps nobody from another", async () => {
  const { clock, begun, call } = setUp();
  const hanging = ["a", "b", "c"].map((name) => call("orders", name));
  const other = call("users", "other");
  await clock.settle();
  expect(begun).toEqual(["a", "b", "other"]);
  other.end();
  expect(await other.answer).toBe("other");
  await clock.advance(limits.waitMsMax);
  for (const { end } of hanging) end();
});

test("a place is given back by a call that fails, at once or later", async () => {
  const { bulkheads } = setUp();
  const fails = () => bulkheads.run("users", () => Promise.reject(new Error("no")));
  const throws = () =>
    bulkheads.run("users", () => {
      throw new Error("no");
    });
  for (const call of [fails, throws, fails, throws]) await expect(call()).rejects.toThrow("no");
  expect(bulkheads.report("users")).toEqual({ underWay: 0, waiting: 0, refused: 0 });
});

test("without limits of its own 256 calls go to one service at once, 256 more wait, and the next is refused", async () => {
  const clock = makeVirtualClock();
  const bulkheads = makeBulkheads(clock);
  const { promise, resolve } = Promise.withResolvers<string>();
  const answers = Array.from({ length: 512 }, () => bulkheads.run("orders", () => promise));
  expect(bulkheads.report("orders")).toEqual({ underWay: 256, waiting: 256, refused: 0 });
  await expect(bulkheads.run("orders", () => promise)).rejects.toMatchObject(busy);
  resolve("answer");
  await Promise.all(answers);
});
