import { describe, expect, test } from "vitest";
import type { Clock } from "../base/clock.ts";
import { withContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { edgeLimits } from "../base/limits.ts";
import { openSession } from "../session/session.ts";
import { expectNoLeaks } from "../testing/leaks.ts";
import { makeTestLink, type TestLink } from "../testing/test-link.ts";
import { makeVirtualClock, type VirtualClock } from "../testing/virtual-clock.ts";
import { makeMemoryLink } from "../transport/memory.ts";
import { makeRawPeer, rejection } from "./fixtures/raw-peer.ts";
import { type RpcStub, RpcTarget } from "./stub.ts";

const exceeded = { code: "deadline_exceeded", retryable: false };

/** Answers when it is told to. No boundary is around it. */
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

/** The outcome of `call`, and the time on the clock. */
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
  test("ends at its deadline all the same, and what is pipelined on it fails with it", async () => {
    await using rig = makeRig();
    const { clock, slow } = rig;
    using made = within(100, clock, () => slow.makeAfter(500));
    const greeting = within(2_000, clock, () => made.greet());
    expect(await clock.run(timed(clock, greeting))).toEqual({ atMs: 100, said: "deadline_exceeded" });
  });

  test("leaves nothing behind when its method is done later, not even a capability", async () => {
    await using rig = makeRig();
    const { clock, slow, target } = rig;
    {
      using made = within(100, clock, () => slow.makeAfter(500));
      void made;
      await clock.advance(200);
    }
    await clock.advance(1_000);
    expect(target.made.map(({ isDisposed }) => isDisposed)).toEqual([true]);
    expectNoLeaks({ links: [rig.link] });
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

/** Two sessions over one link, each with a count of its own timers. */
function makeCounted() {
  const clock = makeVirtualClock();
  const [near, far] = [countTimers(clock), countTimers(clock)];
  const link = makeMemoryLink();
  const options = { limits: { ...edgeLimits, runningCallsMax: Number.POSITIVE_INFINITY }, onHiddenError() {} };
  const target = new Slow(clock);
  const farSession = openSession(link.right, { ...options, clock: far.counting, localMain: target });
  const nearSession = openSession(link.left, { ...options, clock: near.counting });
  return {
    clock,
    target,
    nearSession,
    farSession,
    slow: nearSession.remoteMain as unknown as RpcStub<Slow>,
    timers: () => ({ near: near.timers(), far: far.timers() }),
  };
}

describe("the timer of a session", () => {
  test("is one on either side, whatever the number of calls, and none when nothing is waited for", async () => {
    const { clock, slow, timers } = makeCounted();
    const calls = [300, 100, 200].map((ms) => within(ms, clock, () => slow.after(5_000)));
    expect(timers()).toEqual({ near: 0, far: 0 });
    const outcomes = calls.map((call) => timed(clock, call));
    await clock.settle();
    expect(timers()).toEqual({ near: 1, far: 1 });
    expect((await clock.run(Promise.all(outcomes))).map(({ atMs }) => atMs)).toEqual([300, 100, 200]);
    expect(timers()).toEqual({ near: 0, far: 0 });
  });

  test("is gone when the calls are answered in time", async () => {
    const { clock, slow, timers } = makeCounted();
    await clock.run(Promise.all([1, 2, 3].map((ms) => within(100, clock, () => slow.after(ms)))));
    // By then the releases have left too.
    await clock.advance(10);
    expect(timers()).toEqual({ near: 0, far: 0 });
  });

  test("is gone on the caller's side when the result is disposed, and on the other when the call is done", async () => {
    const { clock, slow, timers } = makeCounted();
    const call = slow.after(500);
    const outcome = Promise.resolve(call).catch((error: Error) => error.message);
    await clock.settle();
    call[Symbol.dispose]();
    expect(await outcome).toBe("The result was disposed before it came");
    await clock.settle();
    expect(timers()).toEqual({ near: 0, far: 1 });
    await clock.advance(500);
    expect(timers()).toEqual({ near: 0, far: 0 });
  });

  test("is cancelled when the session ends, whose calls end by that; on the other side it ends what runs on", async () => {
    const { clock, slow, timers, nearSession, farSession } = makeCounted();
    const call = timed(
      clock,
      within(100, clock, () => slow.after(5_000)),
    );
    await clock.settle();
    expect(timers()).toEqual({ near: 1, far: 1 });
    nearSession.close(new FlotillaError("unavailable", "The test is over"));
    expect(timers().near).toBe(0);
    expect(await clock.run(call)).toEqual({ atMs: 0, said: "unavailable" });
    await farSession.closed;
    await clock.advance(100);
    expect(timers().far).toBe(0);
  });
});

describe("a call of a peer's", () => {
  const context = (ms: number) => `{"tp":"00-${"a".repeat(32)}-${"b".repeat(16)}-01","ms":${ms},"via":[]}`;
  const callAfter = (ms: number) => `["push",["pipeline",0,["after"],[${ms}]]]`;

  test("is ended at its deadline by our side, and told so once, with its request", async () => {
    const peer = makeRawPeer({ makeMain: (clock) => new Slow(clock) });
    await peer.sayText([context(100), callAfter(500), '["pull",1]'].join("\n"));
    await peer.clock.advance(99);
    expect(peer.heard).toEqual([]);
    await peer.clock.advance(1);
    const late = rejection(1, { ...exceeded, requestId: "a".repeat(32) });
    expect(peer.heard).toEqual([late]);
    await peer.clock.advance(10_000);
    expect(peer.heard).toEqual([late]);
  });

  test("that it asks for late is told so at once", async () => {
    const peer = makeRawPeer({ makeMain: (clock) => new Slow(clock) });
    await peer.sayText([context(100), callAfter(5_000)].join("\n"));
    await peer.clock.advance(400);
    expect(peer.heard).toEqual([]);
    await peer.sayText('["pull",1]');
    expect(peer.heard).toEqual([rejection(1, exceeded)]);
  });

  test("that waits for another fails at its own deadline, and the other goes on", async () => {
    const peer = makeRawPeer({ makeMain: (clock) => new Slow(clock) });
    const made = '["push",["pipeline",0,["makeAfter"],[500]]]';
    const greet = '["push",["pipeline",1,["greet"],[]]]';
    await peer.sayText([context(2_000), made, greet, context(100), greet, '["pull",2]', '["pull",3]'].join("\n"));
    await peer.clock.advance(100);
    expect(peer.heard).toEqual([rejection(3, exceeded)]);
    await peer.clock.advance(400);
    expect(peer.answerTo(2)).toEqual(["resolve", 2, "hello"]);
  });

  test("that it lets go of ends at its deadline too, and with it what was lent to it", async () => {
    const peer = makeRawPeer();
    const hang = '["push",["pipeline",0,["hang"],[["export",-1]]]]';
    await peer.sayText([context(100), hang, '["release",1,1]'].join("\n"));
    await peer.clock.advance(99);
    expect(peer.released()).toEqual({});
    await peer.clock.advance(1);
    expect(peer.released()).toEqual({ [-1]: 1 });
  });

  test("has no more than 30 seconds, whatever it asks for", async () => {
    const peer = makeRawPeer({ makeMain: (clock) => new Slow(clock) });
    await peer.sayText([context(1e9), callAfter(60_000), '["pull",1]'].join("\n"));
    await peer.clock.advance(29_999);
    expect(peer.heard).toEqual([]);
    await peer.clock.advance(1);
    expect(peer.heard).toEqual([rejection(1, exceeded)]);
  });

  test("that it lets go of counts among those it may have no more, and its method runs on", async () => {
    let main: Slow | undefined;
    const peer = makeRawPeer({ makeMain: (clock) => (main = new Slow(clock)) });
    await peer.sayText([context(1_000), '["push",["pipeline",0,["makeAfter"],[500]]]', '["release",1,1]'].join("\n"));
    expect(peer.session.stats().exports).toBe(1);
    await peer.clock.advance(500);
    expect(main!.made.map(({ isDisposed }) => isDisposed)).toEqual([true]);
    expect(peer.heard).toEqual([]);
  });
});
