import { describe, expect, test } from "vitest";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeLoad } from "./load.ts";

const waitMsMax = 10;

/** Calls come one in each millisecond, on virtual time; each has waited as long as it is told. */
function makeBench(utilization = 1) {
  const clock = makeVirtualClock();
  const load = makeLoad({ clock, utilization: () => utilization });
  const one = load.part();
  /** @returns how many of the calls were refused. */
  const call = async (forMs: number, waitedMs: number, by: Pick<typeof load, "sheds"> = load) => {
    let refused = 0;
    for (let ms = 0; ms < forMs; ms += 1) {
      await clock.advance(1);
      if (by.sheds(waitedMs, waitMsMax, clock.monotonicMs())) refused += 1;
    }
    return refused;
  };
  return { clock, load, one, call };
}

describe("calls that wait", () => {
  test("are not refused when it is a burst", async () => {
    const { load, call } = makeBench();
    expect(await call(300, 200)).toBe(0);
    expect(await call(200, 5)).toBe(0);
    expect(load.isOverloaded).toBe(false);
  });

  test("are refused when the queue stands, and those that wait little are not", async () => {
    const { load, call } = makeBench();
    await call(600, 200);
    expect(load.isOverloaded).toBe(true);
    expect(await call(50, 200)).toBe(50);
    expect(await call(10, waitMsMax)).toBe(0);
    expect(load.shed).toBeGreaterThanOrEqual(50);
  });

  test("are let through again when few would be refused, or nobody called for a while", async () => {
    const { clock, load, call } = makeBench();
    await call(600, 200);
    await call(250, 5);
    expect(await call(50, 50)).toBe(0);
    await call(600, 200);
    expect(load.isOverloaded).toBe(true);
    await clock.advance(1_000);
    expect(load.isOverloaded).toBe(false);
    expect(await call(1, 200)).toBe(0);
  });

  test("are not refused for all when the process has time: they wait for something of their own", async () => {
    const { load, call } = makeBench(0.5);
    expect(await call(1_000, 200)).toBe(0);
    expect(load.isOverloaded).toBe(false);
  });
});

test("what one address makes of its own turns is refused there alone", async () => {
  const { load, one, call } = makeBench(0.5);
  expect(await call(1_000, 200, one)).toBeGreaterThan(400);
  expect(load.isOverloaded).toBe(false);
  expect(await call(100, 50, load.part())).toBe(0);
});

test("what the whole process suffers from is refused at each address", async () => {
  const { load, one, call } = makeBench();
  await call(600, 200);
  expect(load.isOverloaded).toBe(true);
  expect(await call(10, 200, one)).toBe(10);
});
