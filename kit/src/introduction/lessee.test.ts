import { describe, expect, test } from "vitest";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import type { HomeLink } from "./introduce.ts";
import { makeLessee } from "./lessee.ts";

/** A lessee whose home answers each question with another number, for `forMs`. */
async function makeAsking({ forMs = 1_000, answer = (asked: number): unknown => asked } = {}) {
  const clock = makeVirtualClock();
  let asked = 0;
  const taking = Object.assign(Promise.resolve({}), { [Symbol.dispose]() {} });
  const main = { takeLeases: () => taking };
  const link = { main, instance: "i", sessionNumber: 1 } as unknown as HomeLink;
  const lessee = makeLessee(link, clock);
  await clock.settle();
  const count = async () => {
    asked += 1;
    return answer(asked);
  };
  const loan = { is: count, askLeased: async () => ({ answer: await count(), forMs }) };
  const answers = lessee.open(loan as unknown as RpcStub<RpcTarget>);
  return { clock, answers, asked: () => asked, ask: (...args: unknown[]) => answers.ask("is", args) };
}

describe("two questions are one", () => {
  test.each([["a"], [""], [true], [0], [-7], [Number.MAX_SAFE_INTEGER]])("when they are about %j", async (arg) => {
    const { ask } = await makeAsking();
    expect([await ask(arg), await ask(arg)]).toEqual([1, 1]);
  });

  test.each([
    ["undefined and null", undefined, null],
    ["no number and null", Number.NaN, null],
    ["zero and less", 0, -0],
    ["fractions that are written alike", 0.1, 0.1],
    ["dates", new Date(0), new Date(0)],
    ["a bigint", 1n, 1n],
    ["objects", {}, {}],
    ["text and a number", "1", 1],
  ])("but never when that is not certain: %s", async (_, one, other) => {
    const { ask } = await makeAsking();
    expect([await ask(one), await ask(other)]).toEqual([1, 2]);
  });

  test("but not with other arguments beside", async () => {
    const { ask } = await makeAsking();
    expect([await ask("a"), await ask("a", "b"), await ask("a,b"), await ask()]).toEqual([1, 2, 3, 4]);
  });
});

test("an answer that its user could change is not kept", async () => {
  const { ask } = await makeAsking({ answer: (asked) => ({ asked }) });
  expect([await ask("a"), await ask("a")]).toEqual([{ asked: 1 }, { asked: 2 }]);
});

test("no home vouches for longer than 2,000 ms", async () => {
  const { ask, clock } = await makeAsking({ forMs: Number.MAX_SAFE_INTEGER });
  await ask("a");
  await clock.advance(1_999);
  expect(await ask("a")).toBe(1);
  await clock.advance(1);
  expect(await ask("a")).toBe(2);
});

test("a loan keeps 64 answers at most", async () => {
  const { ask, asked } = await makeAsking();
  for (let count = 0; count <= 64; count += 1) await ask(count);
  expect(asked()).toBe(65);
  // The last one is kept, and those before it had to go.
  await ask(64);
  expect(asked()).toBe(65);
  await ask(0);
  expect(asked()).toBe(66);
});

test("once it is over, nothing that was kept counts, and every question is asked", async () => {
  const { ask, answers } = await makeAsking();
  await ask("a");
  answers[Symbol.dispose]();
  expect([await ask("a"), await ask("a")]).toEqual([2, 3]);
});
