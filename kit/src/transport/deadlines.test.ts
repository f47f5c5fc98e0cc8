import { type RpcStub, RpcTarget } from "capnweb";
import { describe, expect, test } from "vitest";
import type { Clock } from "../base/clock.ts";
import { type CallContext, withContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { expectNoLeaks } from "../testing/leaks.ts";
import { makeTestLink, type TestLink } from "../testing/test-link.ts";
import { makeVirtualClock, type VirtualClock } from "../testing/virtual-clock.ts";
import { makeDeadlines } from "./deadlines.ts";

const exceeded = { code: "deadline_exceeded", retryable: false };

/** Answers when it is told to. No boundary is around it, so nothing on its side ends a call. */
class Slow extends RpcTarget {
  readonly #clock: VirtualClock;
  readonly made: Made[] = [];

  constructor(clock: VirtualClock) {
    super();
    this.#clock = clock;
  }

  after(ms: number): Promise<string> {
    return new Promise((resolve) => this.#clock.after(ms, () => resolve(`after ${ms}`)));
  }

  makeAfter(ms: number): Promise<Made> {
    return new Promise((resolve) =>
      this.#clock.after(ms, () => {
        const made = new Made();
        this.made.push(made);
        resolve(made);
      }),
    );
  }
}

class Made extends RpcTarget {
  isDisposed = false;
  greet() {
    return "hello";
  }
  [Symbol.dispose]() {
    this.isDisposed = true;
  }
}

interface Rig extends AsyncDisposable {
  readonly clock: VirtualClock;
  readonly slow: RpcStub<Slow>;
  readonly target: Slow;
  readonly link: TestLink;
}

function makeRig(): Rig {
  const clock = makeVirtualClock();
  const target = new Slow(clock);
  const to = { name: "to", instance: "i".repeat(16), main: target };
  const link = makeTestLink({ clock, from: { kind: "anonymous" }, to });
  return {
    clock,
    target,
    link,
    slow: link.main as unknown as RpcStub<Slow>,
    async [Symbol.asyncDispose]() {
      await clock.advance(60_000);
      expectNoLeaks({ links: [link] });
    },
  };
}

/** What came of `call`, and at what time on the clock. */
function timed(clock: VirtualClock, call: PromiseLike<unknown>): Promise<{ atMs: number; said: unknown }> {
  const at = (said: unknown) => ({ atMs: clock.monotonicMs(), said });
  return Promise.resolve(call).then(at, (error: FlotillaError) => at(error.code));
}

const within = <T>(timeoutMs: number, clock: VirtualClock, run: () => T) => withContext({ timeoutMs }, run, clock);

describe("a call that its peer does not answer", () => {
  test("rejects at its deadline, and the other calls go on", async () => {
    await using rig = makeRig();
    const { clock, slow } = rig;
    const outcomes = Promise.all([
      timed(
        clock,
        within(300, clock, () => slow.after(5_000)),
      ),
      timed(
        clock,
        within(100, clock, () => slow.after(5_000)),
      ),
      timed(
        clock,
        within(300, clock, () => slow.after(200)),
      ),
      timed(clock, slow.after(5_000)),
    ]);
    expect(await clock.run(outcomes)).toEqual([
      { atMs: 300, said: "deadline_exceeded" },
      { atMs: 100, said: "deadline_exceeded" },
      { atMs: 200, said: "after 200" },
      { atMs: 5_000, said: "after 5000" },
    ]);
  });

  test("rejects with an error that says so, and quotes the request", async () => {
    await using rig = makeRig();
    const traceId = "a".repeat(32);
    const call = withContext({ timeoutMs: 100, traceId }, () => rig.slow.after(5_000), rig.clock);
    await expect(rig.clock.run(call)).rejects.toMatchObject({ ...exceeded, requestId: traceId });
  });

  test("has ten seconds when nobody said how long", async () => {
    await using rig = makeRig();
    expect(await rig.clock.run(timed(rig.clock, rig.slow.after(60_000)))).toEqual({
      atMs: 10_000,
      said: "deadline_exceeded",
    });
  });

  test("rejects those pipelined on it too", async () => {
    await using rig = makeRig();
    const { clock, slow } = rig;
    const call = within(100, clock, () => {
      using made = slow.makeAfter(5_000);
      return timed(clock, made.greet());
    });
    expect(await clock.run(call)).toEqual({ atMs: 100, said: "deadline_exceeded" });
  });

  test("leaves nothing behind when the answer comes late, not even the capability in it", async () => {
    await using rig = makeRig();
    const { clock, slow, target } = rig;
    await expect(clock.run(within(100, clock, () => slow.makeAfter(500)))).rejects.toMatchObject(exceeded);
    expect(target.made).toHaveLength(0);
    await clock.advance(1_000);
    expect(target.made.map(({ isDisposed }) => isDisposed)).toEqual([true]);
    expectNoLeaks({ links: [rig.link] });
  });
});

describe("a call that nobody waits for", () => {
  test("is not ended: there is nobody to tell, and what is pipelined on it has a deadline of its own", async () => {
    await using rig = makeRig();
    const { clock, slow } = rig;
    using made = within(100, clock, () => slow.makeAfter(500));
    const greeting = within(2_000, clock, () => made.greet());
    expect(await clock.run(timed(clock, greeting))).toEqual({ atMs: 500, said: "hello" });
  });

  test("rejects at once when it is waited for after its deadline", async () => {
    await using rig = makeRig();
    const { clock, slow } = rig;
    const call = within(100, clock, () => slow.after(5_000));
    await clock.advance(400);
    expect(await clock.run(timed(clock, call))).toEqual({ atMs: 400, said: "deadline_exceeded" });
  });

  test("rejects at its deadline when it is waited for before, however late", async () => {
    await using rig = makeRig();
    const { clock, slow } = rig;
    const call = within(100, clock, () => slow.after(5_000));
    await clock.advance(90);
    expect(await clock.run(timed(clock, call))).toEqual({ atMs: 100, said: "deadline_exceeded" });
  });
});

/** `clock`, and how many timers on it are neither due nor cancelled. */
function countTimers(clock: VirtualClock): { readonly counting: Clock; readonly timers: () => number } {
  const live = new Set<object>();
  const counting: Clock = {
    ...clock,
    after(ms, run) {
      const timer = {};
      live.add(timer);
      const cancel = clock.after(ms, () => {
        live.delete(timer);
        run();
      });
      return () => {
        live.delete(timer);
        cancel();
      };
    },
  };
  return { counting, timers: () => live.size };
}

describe("the timer of a session", () => {
  const context = (deadlineAtMs: number): CallContext => ({ traceId: "t", spanId: "s", deadlineAtMs, callers: [] });

  function setUp() {
    const clock = makeVirtualClock();
    const { counting, timers } = countTimers(clock);
    const ended: unknown[] = [];
    const deadlines = makeDeadlines(counting, (message) => ended.push((message as unknown[])[1]));
    return { clock, deadlines, ended, timers };
  }

  test("is one, whatever the number of calls, and none when nothing is waited for", async () => {
    const { clock, deadlines, ended, timers } = setUp();
    for (const ms of [300, 100, 200]) deadlines.started(context(ms));
    expect(timers()).toBe(0);
    for (const id of [1, 2, 3]) deadlines.pulled(id);
    expect(timers()).toBe(1);
    await clock.advance(250);
    expect(ended).toEqual([2, 3]);
    deadlines.settled(1);
    await clock.advance(1_000);
    expect([ended, timers()]).toEqual([[2, 3], 0]);
  });

  test("is cancelled when the session ends", async () => {
    const { clock, deadlines, ended, timers } = setUp();
    deadlines.started(context(100));
    deadlines.pulled(1);
    deadlines.clear();
    expect(timers()).toBe(0);
    await clock.advance(1_000);
    expect(ended).toEqual([]);
  });

  test("ends nothing twice, and nothing that was answered or is unknown", async () => {
    const { clock, deadlines, ended } = setUp();
    deadlines.started(context(100));
    deadlines.started(context(100));
    for (const id of [1, 1, 2, 2, 99, -1]) deadlines.pulled(id);
    deadlines.settled(2);
    await clock.advance(1_000);
    deadlines.pulled(1);
    await clock.advance(1_000);
    expect(ended).toEqual([1]);
  });
});

test("a session that closed ends its calls by that, and leaves no timer", async () => {
  const clock = makeVirtualClock();
  const { counting, timers } = countTimers(clock);
  const to = { name: "to", instance: "i".repeat(16), main: new Slow(clock) };
  const link = makeTestLink({ clock: counting, from: { kind: "anonymous" }, to });
  const slow = link.main as unknown as RpcStub<Slow>;
  const call = timed(
    clock,
    within(100, clock, () => slow.after(5_000)),
  );
  await clock.settle();
  expect(timers()).toBe(1);
  link.near.close(new FlotillaError("unavailable", "The test is over"));
  expect(timers()).toBe(0);
  expect(await clock.run(call)).toEqual({ atMs: 0, said: "unavailable" });
});
