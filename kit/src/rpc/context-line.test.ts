import { describe, expect, test } from "vitest";
import { type CallContext, currentContext, withContext } from "../base/context.ts";
import { callersMax } from "../base/limits.ts";
import { expectNoLeaks } from "../testing/leaks.ts";
import { makeTestLink, type TestLink } from "../testing/test-link.ts";
import { makeVirtualClock, type VirtualClock } from "../testing/virtual-clock.ts";
import { type CallerPolicy, parseTraceparent, readContext, writeContext } from "./context-line.ts";
import { expectEnded, makeRawPeer, violated } from "./fixtures/raw-peer.ts";
import { type RpcStub, RpcTarget } from "./stub.ts";

const trace = (digit: string) => digit.repeat(32);
const nobody: CallerPolicy = { keepCallers: false, peerName: undefined };

interface Watcher extends RpcTarget {
  /** The context in which it runs, after waiting `waits` times. */
  look(waits?: number): Promise<Sight>;
  child(): Watcher;
  /** The same, seen by the service behind this one. */
  relay(): Promise<Sight>;
  behind(): Promise<RpcStub<Watcher>>;
  /** The same, before it is there. */
  promised(): Watcher;
}
type Sight = Pick<CallContext, "traceId" | "callers"> & { readonly remainingMs: number };
type WatcherStub = RpcStub<Watcher>;

class WatcherTarget extends RpcTarget {
  readonly #clock: VirtualClock;
  readonly #next: WatcherStub | undefined;

  constructor(clock: VirtualClock, next?: WatcherStub) {
    super();
    this.#clock = clock;
    this.#next = next;
  }

  async look(waits = 0): Promise<Sight> {
    for (let wait = 0; wait < waits; wait += 1) await new Promise<void>((resolve) => this.#clock.after(1, resolve));
    const { traceId, callers, deadlineAtMs } = currentContext()!;
    return { traceId, callers: [...callers], remainingMs: deadlineAtMs - this.#clock.monotonicMs() };
  }

  child(): WatcherTarget {
    return new WatcherTarget(this.#clock, this.#next);
  }

  async relay(): Promise<Sight> {
    return await this.#next!.look();
  }

  promised(): Watcher {
    return this.#next!.child() as unknown as Watcher;
  }

  async behind(): Promise<WatcherStub> {
    return (await this.#next!.child()) as unknown as WatcherStub;
  }
}

interface Chain extends AsyncDisposable {
  readonly clock: VirtualClock;
  readonly front: WatcherStub;
  readonly links: readonly TestLink[];
}

/** client → middle → back, each link `delayMs` long. */
function makeChain(delayMs = 0, framing: "flotilla.v1" | "capnweb" = "flotilla.v1"): Chain {
  const clock = makeVirtualClock();
  const peer = (name: string) => ({ kind: "service", name, instance: "i".repeat(16) }) as const;
  const link = (from: string, to: string, main: RpcTarget) =>
    makeTestLink({ clock, delayMs, framing, from: peer(from), to: { name: to, instance: "i".repeat(16), main } });
  const behind = link("middle", "back", new WatcherTarget(clock));
  const front = link("client", "middle", new WatcherTarget(clock, behind.main as unknown as WatcherStub));
  return {
    clock,
    front: front.main as unknown as WatcherStub,
    links: [front, behind],
    async [Symbol.asyncDispose]() {
      await clock.advance(delayMs * 4 + 10);
      expectNoLeaks({ links: [front, behind] });
    },
  };
}

describe("the context of a call", () => {
  test("reaches the method that is called, with the time that is left and its caller", async () => {
    await using chain = makeChain(10);
    const { clock, front } = chain;
    const call = withContext({ traceId: trace("a"), timeoutMs: 500 }, () => front.look(), clock);
    expect(await clock.run(call)).toEqual({ traceId: trace("a"), callers: ["client"], remainingMs: 500 });
  });

  test("is its own for each of many calls at once, before and after they wait", async () => {
    await using chain = makeChain();
    const ids = Array.from({ length: 50 }, (_, index) => index.toString(16).padStart(32, "f"));
    const looks = ids.map((traceId, index) => withContext({ traceId }, () => chain.front.look(index % 4), chain.clock));
    expect((await chain.clock.run(Promise.all(looks))).map(({ traceId }) => traceId)).toEqual(ids);
  });

  test("goes with calls pipelined on a promise, each with its own", async () => {
    await using chain = makeChain(10);
    const { clock, front } = chain;
    using child = withContext({ traceId: trace("a") }, () => front.child(), clock);
    const one = withContext({ traceId: trace("b") }, () => child.look(), clock);
    const two = withContext({ traceId: trace("c") }, () => child.look(2), clock);
    const seen = await clock.run(Promise.all([one, two]));
    expect(seen.map(({ traceId }) => traceId)).toEqual([trace("b"), trace("c")]);
  });

  test("goes with the call that a method makes in turn, which names who called before", async () => {
    await using chain = makeChain(10);
    const call = withContext({ traceId: trace("a") }, () => chain.front.relay(), chain.clock);
    expect(await chain.clock.run(call)).toMatchObject({ traceId: trace("a"), callers: ["client", "middle"] });
  });

  test("goes with calls on a capability that a process in the middle relays without a word", async () => {
    await using chain = makeChain(10);
    using far = await chain.clock.run(chain.front.behind());
    const call = withContext({ traceId: trace("d"), timeoutMs: 400 }, () => far.look(), chain.clock);
    const seen = await chain.clock.run(call);
    // Time on the way is nobody's to measure, because clocks differ; time in the middle is counted, and here it is none.
    expect(seen).toEqual({ traceId: trace("d"), callers: ["client", "middle"], remainingMs: 400 });
  });

  test("goes with calls pipelined on a result that a process in the middle passes on before it is there", async () => {
    await using chain = makeChain(10);
    const { clock, front } = chain;
    using far = withContext({ traceId: trace("b") }, () => front.promised(), clock);
    const call = withContext({ traceId: trace("d"), timeoutMs: 400 }, () => far.look(), clock);
    expect(await clock.run(call)).toMatchObject({ traceId: trace("d"), callers: ["client", "middle"] });
  });

  test("is fresh for a call made outside any, and another for the next", async () => {
    await using chain = makeChain();
    const first = await chain.clock.run(chain.front.look());
    const second = await chain.clock.run(chain.front.look());
    expect(first.remainingMs).toBe(10_000);
    expect(second.traceId).not.toBe(first.traceId);
  });

  test("is fresh for each call of a peer that sends none", async () => {
    await using chain = makeChain(0, "capnweb");
    const calls = [1, 2].map(() => withContext({ traceId: trace("a") }, () => chain.front.look(1), chain.clock));
    const [first, second] = await chain.clock.run(Promise.all(calls));
    expect(first).toMatchObject({ callers: ["client"], remainingMs: 9_999 });
    expect(new Set([first?.traceId, second?.traceId, trace("a")]).size).toBe(3);
  });

  test("leaks neither into the next message nor into who opened the session", async () => {
    const seen: unknown[] = [];
    class Disposed extends RpcTarget {
      greet() {
        return "hello";
      }
      [Symbol.dispose]() {
        seen.push(currentContext());
      }
    }
    class Main extends RpcTarget {
      make() {
        return new Disposed();
      }
    }
    const clock = makeVirtualClock();
    const to = { name: "to", instance: "i".repeat(16), main: new Main() };
    const link = makeTestLink({ clock, from: { kind: "anonymous" }, to });
    expect(currentContext()).toBeUndefined();
    {
      using made = await clock.run((link.main as unknown as RpcStub<Main>).make());
      void made;
    }
    await clock.advance(10);
    // Released by a message of its own, which belongs to no call.
    expect(seen).toEqual([undefined]);
    expectNoLeaks({ links: [link] });
  });

  test("of the call in which a session happens to be opened stays out of that session", async () => {
    const clock = makeVirtualClock();
    const to = { name: "to", instance: "i".repeat(16), main: new WatcherTarget(clock) };
    const link = withContext({ traceId: trace("e") }, () => {
      const opened = makeTestLink({ clock, from: { kind: "anonymous" }, to });
      expect(currentContext()?.traceId).toBe(trace("e"));
      return opened;
    });
    const seen = await clock.run((link.main as unknown as WatcherStub).look());
    expect(seen.traceId).not.toBe(trace("e"));
    await clock.advance(10);
    expectNoLeaks({ links: [link] });
  });
});

describe("the callers of a call", () => {
  const line = { tp: `00-${trace("a")}-${"b".repeat(16)}-01`, ms: 50, via: ["one", "two"] };
  const read = (policy: CallerPolicy) => readContext(line, policy, 0).callers;

  test("are kept from one of ours, which is added as the last", () => {
    expect(read({ keepCallers: true, peerName: "three" })).toEqual(["one", "two", "three"]);
  });

  test("are dropped at the edge, where they would be anybody's claim", () => {
    expect(read(nobody)).toEqual([]);
    expect(read({ keepCallers: false, peerName: "gateway" })).toEqual(["gateway"]);
  });

  test("never get more than a line may have: the last ones stay", () => {
    const via = Array.from({ length: callersMax }, (_, index) => `service-${index}`);
    const full = { tp: `00-${trace("a")}-${"b".repeat(16)}-01`, ms: 50, via };
    const { callers } = readContext(full, { keepCallers: true, peerName: "last" }, 0);
    expect(callers).toHaveLength(callersMax);
    expect([callers[0], callers.at(-1)]).toEqual(["service-1", "last"]);
  });
});

describe("a context line", () => {
  const clock = makeVirtualClock();
  const good = { tp: `00-${trace("a")}-${"b".repeat(16)}-01`, ms: 50, via: [] };

  test("reads as it was written", () => {
    const context = { traceId: trace("a"), spanId: "b".repeat(16), deadlineAtMs: 1_234.5, callers: ["one"] };
    const line = JSON.parse(writeContext(context, clock)) as object;
    const kept = readContext(line, { keepCallers: true, peerName: undefined }, 100);
    expect(kept).toEqual({ traceId: trace("a"), deadlineAtMs: 1_335, callers: ["one"] });
  });

  test("says no time left rather than less than none", () => {
    const context = { traceId: trace("a"), spanId: "b".repeat(16), deadlineAtMs: -50, callers: [] };
    expect(JSON.parse(writeContext(context, clock))).toMatchObject({ ms: 0 });
  });

  test.each([30_001, 1e9, Number.MAX_VALUE])("that leaves %d ms leaves 30 s", (ms) => {
    expect(readContext({ ...good, ms }, nobody, 0).deadlineAtMs).toBe(30_000);
  });

  test.each([
    ["nothing", {}],
    ["no trace", { ...good, tp: undefined }],
    ["a trace of zeros", { ...good, tp: `00-${trace("0")}-${"b".repeat(16)}-01` }],
    ["a trace of capitals", { ...good, tp: `00-${trace("A")}-${"b".repeat(16)}-01` }],
    ["a trace with a line after it", { ...good, tp: `${good.tp}\n` }],
    ["no time", { ...good, ms: undefined }],
    ["a time that is text", { ...good, ms: "50" }],
    ["a time below zero", { ...good, ms: -1 }],
    ["a time that is endless", { ...good, ms: "1e999" }],
    ["no callers", { ...good, via: undefined }],
    ["a caller that is no name", { ...good, via: ["Mallory\n"] }],
    ["a caller that is no text", { ...good, via: [{ toString: "one" }] }],
    ["more callers than allowed", { ...good, via: Array.from({ length: callersMax + 1 }, () => "a") }],
  ])("with %s is refused, and ends the session before anything in its frame is begun", async (_, line) => {
    const text = JSON.stringify(line).replace('"1e999"', "1e999");
    expect(() => readContext(JSON.parse(text) as object, nobody, 0)).toThrow(expect.objectContaining(violated));

    let calls = 0;
    class Main extends RpcTarget {
      count() {
        calls += 1;
      }
    }
    const peer = makeRawPeer({ makeMain: () => new Main() });
    const call = '["push",["pipeline",0,["count"],[]]]';
    await peer.sayText(`${call}\n${text}\n${call}`);
    await expectEnded(peer, violated);
    expect(calls).toBe(0);
  });

  test("holds for the calls after it in its frame, until another comes", async () => {
    const seen: unknown[] = [];
    class Main extends RpcTarget {
      look() {
        seen.push(currentContext()?.traceId);
      }
    }
    const peer = makeRawPeer({ makeMain: () => new Main() });
    const line = (digit: string) => JSON.stringify({ ...good, tp: `00-${trace(digit)}-${"b".repeat(16)}-01` });
    const call = '["push",["pipeline",0,["look"],[]]]';
    await peer.sayText([call, line("c"), call, call, line("d"), call].join("\n"));
    await peer.sayText(call);
    expect(seen.slice(1, 4)).toEqual([trace("c"), trace("c"), trace("d")]);
    expect(new Set(seen).size).toBe(4);
  });

  test("of another kind of peer counts as absent where it is a header", () => {
    expect(parseTraceparent(undefined)).toBeUndefined();
    expect(parseTraceparent(["00"])).toBeUndefined();
    expect(parseTraceparent(good.tp)).toBe(trace("a"));
  });
});

describe("work that starts after the answer", () => {
  interface Callback extends RpcTarget {
    hear(): Sight;
  }

  /** Calls back after it has answered. */
  class Later extends RpcTarget {
    readonly #clock: VirtualClock;
    readonly said: Promise<unknown>[] = [];

    constructor(clock: VirtualClock) {
      super();
      this.#clock = clock;
    }

    after(ms: number, callback: RpcStub<Callback>): string {
      this.said.push(this.#askAfter(ms, callback.dup(), (kept) => kept.hear()));
      return "answered";
    }

    afterWithin(ms: number, callback: RpcStub<Callback>): string {
      const ask = () => this.#askAfter(ms, callback.dup(), (kept) => kept.hear());
      this.said.push(withContext({ timeoutMs: 50 }, ask, this.#clock));
      return "answered";
    }

    afterInside(ms: number, callback: RpcStub<Callback>): string {
      const ask = (kept: RpcStub<Callback>) => withContext({ timeoutMs: 700 }, () => kept.hear(), this.#clock);
      this.said.push(this.#askAfter(ms, callback.dup(), ask));
      return "answered";
    }

    async #askAfter(ms: number, callback: RpcStub<Callback>, ask: (of: RpcStub<Callback>) => PromiseLike<Sight>) {
      using kept = callback;
      await new Promise<void>((resolve) => this.#clock.after(ms, resolve));
      return await ask(kept);
    }
  }

  class Hearer extends RpcTarget {
    readonly #clock: VirtualClock;

    constructor(clock: VirtualClock) {
      super();
      this.#clock = clock;
    }

    hear(): Sight {
      const { traceId, callers, deadlineAtMs } = currentContext()!;
      return { traceId, callers: [...callers], remainingMs: deadlineAtMs - this.#clock.monotonicMs() };
    }
  }

  function makeLink() {
    const clock = makeVirtualClock();
    const later = new Later(clock);
    const from = { kind: "service", name: "caller", instance: "i".repeat(16) } as const;
    const link = makeTestLink({
      clock,
      delayMs: 1,
      from,
      to: { name: "later", instance: "i".repeat(16), main: later },
    });
    return { clock, later, link, main: link.main as unknown as RpcStub<Later>, hearer: new Hearer(clock) };
  }

  test.each<["after" | "afterWithin" | "afterInside", number]>([
    ["after", 10_000],
    ["afterWithin", 10_000],
    ["afterInside", 700],
  ])("has time of its own, and keeps the trace: %s", async (method, remainingMs) => {
    const { clock, later, link, main, hearer } = makeLink();
    const request = { traceId: trace("a"), timeoutMs: 100 };
    const ask = () => (main[method] as (ms: number, callback: unknown) => Promise<string>)(5_000, hearer);
    expect(await clock.run(withContext(request, ask, clock))).toBe("answered");
    await clock.advance(5_000);
    expect(await clock.run(later.said[0]!)).toMatchObject({ traceId: trace("a"), remainingMs });
    await clock.advance(100);
    expectNoLeaks({ links: [link] });
  });

  test("has no more than what the call has left, as long as that is not answered", async () => {
    const clock = makeVirtualClock();
    class Asker extends RpcTarget {
      async relay(callback: RpcStub<Callback>) {
        await new Promise<void>((resolve) => clock.after(40, resolve));
        return await callback.hear();
      }
    }
    const to = { name: "asker", instance: "i".repeat(16), main: new Asker() };
    const link = makeTestLink({ clock, from: { kind: "anonymous" }, to });
    const call = withContext(
      { timeoutMs: 100 },
      () => (link.main as unknown as RpcStub<Asker>).relay(new Hearer(clock) as unknown as RpcStub<Callback>),
      clock,
    );
    expect(await clock.run(call)).toMatchObject({ remainingMs: 60 });
    await clock.advance(10);
    expectNoLeaks({ links: [link] });
  });
});
