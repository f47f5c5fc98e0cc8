import { expect, test, vi } from "vitest";
import { type Clock, systemClock } from "../base/clock.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { attenuate } from "./attenuate.ts";
import { addCondition, assertHolds, notAfter } from "./conditions.ts";
import { contract } from "./contract.ts";
import { makeBench } from "./fixtures/bench.ts";

interface Counter extends RpcTarget {
  count(): number;
}
const CounterContract = contract<Counter>("Counter", { count: { params: [] } });

test("a rate that is used up keeps no one from the kit's own methods: who may call later may introduce now", async () => {
  const clock = makeVirtualClock();
  const counter = attenuate(CounterContract, { count: () => 1 }, { rate: { calls: 1, perMs: 1_000 }, clock });
  expect(await counter.count()).toBe(1);
  expect(() => assertHolds(counter, "count", clock)).toThrow(expect.objectContaining({ reason: "rate_limited" }));
  expect(() => assertHolds(counter, undefined, clock)).not.toThrow();
});

test("a condition is asked once for a call, and told once that it begins", async () => {
  const heard: string[] = [];
  const counter = { count: () => 1 };
  addCondition(counter, { refusal: () => void heard.push("asked"), began: () => void heard.push("began") });
  await using bench = makeBench(CounterContract, counter);
  expect(await bench.clock.run(bench.main.count())).toBe(1);
  expect(heard).toEqual(["asked", "began"]);
});

test("what has ended stays ended when the wall clock is set back, although nobody asked until then", () => {
  const wall = vi.spyOn(Date, "now");
  const monotonic = vi.spyOn(performance, "now");
  try {
    wall.mockReturnValue(1_000);
    monotonic.mockReturnValue(0);
    const end = notAfter(2_000);
    wall.mockReturnValue(500);
    monotonic.mockReturnValue(999);
    expect(end.refusal("greet", systemClock)).toBeUndefined();
    monotonic.mockReturnValue(1_000);
    expect(end.refusal("greet", systemClock)).toMatchObject({ reason: "expired" });
  } finally {
    wall.mockRestore();
    monotonic.mockRestore();
  }
});

test("what has ended by itself stays ended when the wall clock is set back", () => {
  let nowMs = 1_000;
  let monotonicMs = 0;
  const clock: Clock = { ...makeVirtualClock(), now: () => nowMs, monotonicMs: () => monotonicMs };
  const seen = notAfter(2_000);
  const unseen = notAfter(2_000);
  for (const end of [seen, unseen]) expect(end.refusal("greet", clock)).toBeUndefined();
  nowMs = 2_000;
  monotonicMs = 1_000;
  expect(seen.refusal("greet", clock)).toMatchObject({ reason: "expired" });
  nowMs = 500;
  // One was asked when it was over; of the other its time has passed all the same.
  for (const end of [seen, unseen]) expect(end.refusal("greet", clock)).toMatchObject({ reason: "expired" });
});
