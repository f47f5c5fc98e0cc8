import { expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import { expose } from "../capability/boundary.ts";
import { contract } from "../capability/contract.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { makeRig } from "../testing/rig.ts";
import { outcome } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeThrottle } from "./throttle.ts";

/** 100 calls in each 10 ms, of which the service answers as many as it can and refuses the rest. */
async function offer(forMs: number, answeredPer10Ms: number, bench: ReturnType<typeof makeBench>) {
  const { clock, throttle } = bench;
  let sent = 0;
  for (let ms = 0; ms < forMs; ms += 10) {
    await clock.advance(10);
    let left = answeredPer10Ms;
    for (let n = 0; n < 100; n += 1) {
      try {
        throttle.pass();
      } catch {
        continue;
      }
      sent += 1;
      throttle.onAsked();
      throttle.onAnswer(left <= 0);
      left -= 1;
    }
  }
  return sent;
}

function makeBench() {
  const clock = makeVirtualClock();
  let seed = 1;
  // A sequence that goes evenly through 0 to 1.
  const random = () => {
    seed = (seed + 0.618_033_988_75) % 1;
    return seed;
  };
  return { clock, throttle: makeThrottle("home", clock, random) };
}

test("who is answered a tenth sends twice that tenth, and not all", async () => {
  const bench = makeBench();
  await offer(500, 10, bench);
  const sent = await offer(2_000, 10, bench);
  const answered = 2_000;
  expect(sent).toBeGreaterThan(1.5 * answered);
  expect(sent).toBeLessThan(2.5 * answered);
});

test("who is not refused sends everything, at first and again when it is over", async () => {
  const bench = makeBench();
  expect(await offer(200, 100, bench)).toBe(2_000);
  await offer(1_000, 10, bench);
  await offer(15_000, 100, bench);
  expect(await offer(200, 100, bench)).toBe(2_000);
  expect(bench.throttle.withheld).toBeGreaterThan(1_000);
});

test("a caller that was held back and then asked nothing for a while sends its next calls", async () => {
  const clock = makeVirtualClock();
  const throttle = makeThrottle("home", clock, () => 0.5);
  for (let n = 0; n < 100; n += 1) {
    throttle.onAsked();
    throttle.onAnswer(true);
  }
  expect(() => throttle.pass()).toThrow("overloaded");
  await clock.advance(10_000);
  expect(() => throttle.pass()).not.toThrow();
});

test("calls that nobody has answered yet hold nothing back while none was refused lately", async () => {
  const clock = makeVirtualClock();
  const throttle = makeThrottle("home", clock, () => 0.5);
  for (let n = 0; n < 100; n += 1) throttle.onAsked();
  expect(() => throttle.pass()).not.toThrow();
  throttle.onAnswer(true);
  await clock.advance(10_000);
  for (let n = 0; n < 100; n += 1) throttle.onAsked();
  expect(() => throttle.pass()).not.toThrow();
});

test("what was answered long ago excuses no refusal of today", async () => {
  const clock = makeVirtualClock();
  const throttle = makeThrottle("home", clock, () => 0.5);
  for (let n = 0; n < 1_000; n += 1) {
    throttle.onAsked();
    throttle.onAnswer(false);
    await clock.advance(10);
  }
  for (let n = 0; n < 1_000; n += 1) {
    throttle.onAsked();
    throttle.onAnswer(true);
  }
  expect(() => throttle.pass()).toThrow("overloaded");
});

interface Counter extends RpcTarget {
  count(): number;
}
const CounterContract = contract<Counter>("Counter", { count: { params: [] } });

test("a connection holds back calls of a service that says it is overloaded, and of none that refuses otherwise", async () => {
  for (const reason of ["overloaded", "rate_limited"]) {
    await using rig = makeRig();
    let asked = 0;
    const count = () => {
      asked += 1;
      throw new FlotillaError("resource_exhausted", "no", { reason });
    };
    const { url } = await rig.serve({ main: (peer) => expose(CounterContract, { count }, { peer }) });
    const home = rig.connect<Counter>({ url, random: () => 0.5 });
    const codes: unknown[] = [];
    for (let n = 0; n < 100; n += 1) {
      await outcome(home.main.count()).catch((error: FlotillaError) => codes.push([error.code, error.reason]));
    }
    expect(codes).toEqual(Array.from({ length: 100 }, () => ["resource_exhausted", reason]));
    if (reason === "overloaded") expect(asked).toBeLessThan(10);
    else expect(asked).toBe(100);
    expect(home.withheld).toBe(100 - asked);
  }
});
