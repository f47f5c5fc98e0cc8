import { type RpcStub, RpcTarget } from "capnweb";
import { describe, expect, test } from "vitest";
import { type CallContext, currentContext, withContext } from "../base/context.ts";
import { callersMax, linkLimits } from "../base/limits.ts";
import { openSession, type Session } from "../session/session.ts";
import { expectNoLeaks } from "../testing/leaks.ts";
import { makeTestLink, type TestLink } from "../testing/test-link.ts";
import { makeVirtualClock, type VirtualClock } from "../testing/virtual-clock.ts";
import type { Channel } from "./channel.ts";
import { type CallerPolicy, parseTraceparent, readContext, writeContext } from "./envelope.ts";
import { makeMemoryLink } from "./memory.ts";

const trace = (digit: string) => digit.repeat(32);
const nobody: CallerPolicy = { keepCallers: false, peerName: undefined };

interface Watcher extends RpcTarget {
  /** The context in which it runs, after waiting `waits` times. */
  look(waits?: number): Promise<Sight>;
  child(): Watcher;
  /** The same, seen by the service behind this one. */
  relay(): Promise<Sight>;
  behind(): Promise<RpcStub<Watcher>>;
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
      await clock.advance(delayMs * 4);
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
    await clock.settle();
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
    expectNoLeaks({ links: [link] });
  });
});

describe("the callers of a call", () => {
  const line = JSON.stringify({ tp: `00-${trace("a")}-${"b".repeat(16)}-01`, ms: 50, via: ["one", "two"] });
  const read = (policy: CallerPolicy) => readContext(line, policy, makeVirtualClock()).callers;

  test("are kept from one of ours, which is added as the last", () => {
    expect(read({ keepCallers: true, peerName: "three" })).toEqual(["one", "two", "three"]);
  });

  test("are dropped at the edge, where they would be anybody's claim", () => {
    expect(read(nobody)).toEqual([]);
    expect(read({ keepCallers: false, peerName: "gateway" })).toEqual(["gateway"]);
  });

  test("never get more than a line may have: the last ones stay", () => {
    const via = Array.from({ length: callersMax }, (_, index) => `service-${index}`);
    const full = JSON.stringify({ tp: `00-${trace("a")}-${"b".repeat(16)}-01`, ms: 50, via });
    const { callers } = readContext(full, { keepCallers: true, peerName: "last" }, makeVirtualClock());
    expect(callers).toHaveLength(callersMax);
    expect([callers[0], callers.at(-1)]).toEqual(["service-1", "last"]);
  });
});

describe("a context line", () => {
  const clock = makeVirtualClock();
  const good = { tp: `00-${trace("a")}-${"b".repeat(16)}-01`, ms: 50, via: [] };

  test("reads as it was written", () => {
    const context = { traceId: trace("a"), spanId: "b".repeat(16), deadlineAtMs: 1_234.5, callers: ["one"] };
    const kept = readContext(writeContext(context, clock), { keepCallers: true, peerName: undefined }, clock);
    expect(kept).toMatchObject({ traceId: trace("a"), deadlineAtMs: 1_235, callers: ["one"] });
    expect(kept.spanId).not.toBe(context.spanId);
  });

  test("says no time left rather than less than none", () => {
    const context = { traceId: trace("a"), spanId: "b".repeat(16), deadlineAtMs: -50, callers: [] };
    expect(JSON.parse(writeContext(context, clock))).toMatchObject({ ms: 0 });
  });

  test.each([30_001, 1e9, Number.MAX_VALUE])("that leaves %d ms leaves 30 s", (ms) => {
    expect(readContext(JSON.stringify({ ...good, ms }), nobody, clock).deadlineAtMs).toBe(30_000);
  });

  test.each([
    ["no JSON", "{"],
    ["no trace", { ...good, tp: undefined }],
    ["a trace of zeros", { ...good, tp: `00-${trace("0")}-${"b".repeat(16)}-01` }],
    ["a trace of capitals", { ...good, tp: `00-${trace("A")}-${"b".repeat(16)}-01` }],
    ["a trace with a line after it", { ...good, tp: `${good.tp}\n` }],
    ["no time", { ...good, ms: undefined }],
    ["a time that is text", { ...good, ms: "50" }],
    ["a time below zero", { ...good, ms: -1 }],
    ["no callers", { ...good, via: undefined }],
    ["a caller that is no name", { ...good, via: ["Mallory\n"] }],
    ["a caller that is no text", { ...good, via: [{ toString: "one" }] }],
    ["more callers than allowed", { ...good, via: Array.from({ length: callersMax + 1 }, () => "a") }],
  ])("with %s is refused, and ends the session", async (_, line) => {
    const text = typeof line === "string" ? line : JSON.stringify(line);
    const refused = expect.objectContaining({ code: "invalid_argument", reason: "protocol_violation" });
    expect(() => readContext(text, nobody, clock)).toThrow(refused);

    const { session, far } = openRaw();
    let calls = 0;
    far.send(`${text}\n["push",["pipeline",0,["count"],[]]]`);
    await session.closed;
    expect(calls).toBe(0);

    function openRaw(): { session: Session; far: Channel } {
      class Main extends RpcTarget {
        count() {
          calls += 1;
        }
      }
      const link = makeMemoryLink();
      link.right.listen({ frame() {}, closed() {} });
      return { session: openSession(link.left, { localMain: new Main(), limits: linkLimits }), far: link.right };
    }
  });

  test("of another kind of peer counts as absent where it is a header", () => {
    expect(parseTraceparent(undefined)).toBeUndefined();
    expect(parseTraceparent(["00"])).toBeUndefined();
    expect(parseTraceparent(good.tp)).toBe(trace("a"));
  });
});
