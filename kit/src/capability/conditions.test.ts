import type { RpcTarget } from "capnweb";
import { expect, test } from "vitest";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { attenuate } from "./attenuate.ts";
import { assertHolds } from "./conditions.ts";
import { contract } from "./contract.ts";

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
