import { describe, expect, test } from "vitest";
import { withContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import type { Directory } from "../discovery/directory.ts";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { makeRig } from "../testing/rig.ts";
import { until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { connectAll } from "./instances.ts";

const away = () => Promise.reject(new FlotillaError("unavailable", "away"));

describe("a directory of another's making", () => {
  /** It says what the test says, also to a listener that has left. */
  function makeStubborn() {
    let tell: (urls: readonly string[]) => void = () => {};
    const directory: Directory = {
      watch(listener) {
        tell = listener;
        return () => {};
      },
    };
    return { directory, say: (...urls: string[]) => tell(urls) };
  }

  test("that goes on after the connection was closed opens nothing", () => {
    const { directory, say } = makeStubborn();
    const all = connectAll<Desk>({ name: "home", directory });
    all.close();
    say("http://127.0.0.1:1");
    expect(all.report()).toEqual([]);
  });

  test("that names an instance twice names one", () => {
    const { directory, say } = makeStubborn();
    using all = connectAll<Desk>({ name: "home", directory });
    say("http://127.0.0.1:1", "http://127.0.0.1:1");
    expect(all.report()).toHaveLength(1);
  });
});

test("addresses written by hand are at most 128, because each is a connection of every caller's", () => {
  const urls = Array.from({ length: 129 }, (_, n) => `http://127.0.0.1:${n + 1}`);
  expect(() => connectAll({ name: "home", urls })).toThrow("expected at most 128 addresses");
  connectAll({ name: "home", urls: urls.slice(1) }).close();
});

test("what opened a breaker is forgotten with its session: the next one is asked at once", async () => {
  await using rig = makeRig();
  const clock = makeVirtualClock();
  const first = await rig.serve({ main: makeDesk().mainFor });
  using all = connectAll<Desk>({ name: "home", urls: [first.url], clock });
  await all.opened();
  for (let n = 0; n < 5; n += 1) await expect(all.call(away)).rejects.toMatchObject({ message: "away" });
  await expect(all.call(away)).rejects.toMatchObject({ reason: "circuit_open" });
  await first.drain();
  await until(() => !all.isOpen, "it is away");
  await rig.serve({ main: makeDesk().mainFor, port: Number(new URL(first.url).port) });
  // Told to try now, so that no time passes that would close a breaker.
  all.pick().retry();
  await until(() => all.isOpen, "it is back");
  expect(await all.call((main) => main.add(1, 2))).toBe(3);
});

describe("a repeatable call", () => {
  async function setUp(rig: ReturnType<typeof makeRig>) {
    const clock = makeVirtualClock();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const all = connectAll<Desk>({ name: "home", urls: [url], clock, random: () => 1 });
    rig.onEnd(() => all.close());
    await all.opened();
    const attemptsAtMs: number[] = [];
    const work = () => {
      attemptsAtMs.push(clock.monotonicMs());
      return Promise.reject(new FlotillaError("unavailable", "away"));
    };
    return { clock, all, work, attemptsAtMs };
  }

  test("is given up with what the service said when no further attempt fits before its deadline", async () => {
    await using rig = makeRig();
    const { clock, all, work, attemptsAtMs } = await setUp(rig);
    const call = withContext({ timeoutMs: 100 }, () => all.call(work, { isRepeatable: true }), clock);
    await expect(clock.run(call)).rejects.toMatchObject({ message: "away" });
    expect(attemptsAtMs).toEqual([0, 20, 60]);
    expect(clock.monotonicMs()).toBe(60);
  });

  test("waits twice as long after each attempt, and half a second at most", async () => {
    await using rig = makeRig();
    const { clock, all, work, attemptsAtMs } = await setUp(rig);
    const call = withContext({ timeoutMs: 2_500 }, () => all.call(work, { isRepeatable: true }), clock);
    await expect(clock.run(call)).rejects.toMatchObject({ message: "away" });
    expect(attemptsAtMs).toEqual([0, 20, 60, 140, 300, 620, 1_120, 1_620, 2_120]);
  });
});
