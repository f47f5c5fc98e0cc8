import { describe, expect, test } from "vitest";
import { withContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { edgeLimits } from "../base/limits.ts";
import { openSession } from "../session/session.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeMemoryLink } from "../transport/memory.ts";
import { call, expectAlive, makeRawPeer, many, type RawPeer, rejection } from "./fixtures/raw-peer.ts";
import { RpcPromise, type RpcStub, RpcTarget } from "./stub.ts";

const pushed = (method: string, ...args: unknown[]) => ["push", ["pipeline", 0, [method], args]];
const outcomeOf = (id: number) => ["pipeline", id];

/** Settles when it is told. */
class Slow extends RpcTarget {
  readonly #answer = Promise.withResolvers<unknown>();

  slow() {
    return this.#answer.promise;
  }
  settle(value: unknown) {
    if (value instanceof Error) this.#answer.reject(value);
    else this.#answer.resolve(value);
  }
  f(): string {
    return "done";
  }
  echo(value: unknown) {
    return value;
  }
}

function makeSlowPeer(): { peer: RawPeer; main: Slow } {
  const main = new Slow();
  return { peer: makeRawPeer({ makeMain: () => main, limits: edgeLimits }), main };
}

describe("calls that each wait for the one before", () => {
  const length = edgeLimits.outstandingCallsMax - 10;
  const chain = [pushed("slow"), ...Array.from({ length: length - 1 }, (_, at) => pushed("echo", outcomeOf(at + 1)))];

  test("are all answered when the first is", async () => {
    const { peer, main } = makeSlowPeer();
    await peer.say(...chain, ["pull", length]);
    main.settle("there");
    await peer.clock.settle();
    expect(peer.answerTo(length)).toEqual(["resolve", length, "there"]);
    await expectAlive(peer, length + 1);
  });

  test("all fail when the first does, and end nothing else", async () => {
    const { peer, main } = makeSlowPeer();
    await peer.say(...chain, ["pull", length]);
    main.settle(new FlotillaError("aborted", "no"));
    await peer.clock.settle();
    expect(peer.answerTo(length)).toEqual(rejection(length, { code: "aborted" }));
    await expectAlive(peer, length + 1);
  });

  test("all fail when the first is late, also those that were released meanwhile", async () => {
    const { peer } = makeSlowPeer();
    const released = chain.flatMap((message, at) => (at === 0 ? [message] : [message, ["release", at, 1]]));
    await peer.say(...released, ["pull", length]);
    await peer.clock.advance(30_000);
    expect(peer.answerTo(length)).toEqual(rejection(length, { code: "deadline_exceeded" }));
    await peer.say(["release", length, 1]);
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
  });
});

describe("results as arguments", () => {
  const { messageNodesMax } = edgeLimits;

  test("count as if they stood in the message", async () => {
    const { peer } = makeSlowPeer();
    const list = [many(messageNodesMax / 4, 1)];
    await peer.say(pushed("echo", list), pushed("f", ...many(3, outcomeOf(1))), ["pull", 2]);
    expect(peer.answerTo(2)).toEqual(["resolve", 2, "done"]);
    await peer.say(pushed("f", ...many(5, outcomeOf(1))), ["pull", 3]);
    expect(peer.answerTo(3)).toEqual(rejection(3, { code: "resource_exhausted" }));
    await expectAlive(peer, 4);
  });

  test("are paid for by who sends them", async () => {
    let lines = 0;
    const intake = {
      lines(count: number) {
        lines += count;
      },
      unread() {},
    };
    const peer = makeRawPeer({ limits: edgeLimits, intake });
    await peer.say(pushed("echo", [many(1_200, 1)]));
    const before = lines;
    await peer.say(call(outcomeOf(1), outcomeOf(1)));
    expect(lines - before).toBeGreaterThan(200);
  });

  test("of an object that its method keeps leave nothing on it", async () => {
    const kept = { a: 1 };
    class Keeper extends RpcTarget {
      kept() {
        return kept;
      }
      f(..._args: unknown[]) {
        return "done";
      }
    }
    const peer = makeRawPeer({ makeMain: () => new Keeper() });
    await peer.say(pushed("kept"), call(outcomeOf(1)), ["pull", 2], ["release", 1, 1]);
    expect(peer.answerTo(2)).toEqual(["resolve", 2, "done"]);
    expect(Object.getOwnPropertySymbols(kept)).toEqual([]);
  });
});

test("a relayed call whose time is over says so to who asks later, and keeps nobody from stopping", async () => {
  class Relay extends RpcTarget {
    never() {
      return new RpcPromise(new Promise<string>(() => {}));
    }
  }
  const peer = makeRawPeer({ makeMain: () => new Relay() });
  await peer.say(pushed("never"));
  await peer.clock.advance(30_000);
  await peer.say(["pull", 1]);
  expect(peer.answerTo(1)).toEqual(rejection(1, { code: "deadline_exceeded" }));
  await peer.session.drain();
});

describe("a capability named then", () => {
  const thenable = JSON.parse('{"then":["export",-1]}') as object;

  test.each([
    ["of a result", thenable],
    ["of an error", ["error", "Error", "m", null, thenable]],
  ])("%s is dropped: whoever awaits it would hand out their own resolvers", async (_, value) => {
    const peer = makeRawPeer();
    const main = peer.session.remoteMain as unknown as { f(): Promise<unknown> };
    const answer = withContext({ timeoutMs: 300 }, () => main.f(), peer.clock);
    const settled = Promise.resolve(answer).then(() => "settled");
    await peer.clock.settle();
    await peer.say(["resolve", 1, value]);
    expect(await settled).toBe("settled");
    expect(peer.released()).toEqual({ [-1]: 1 });
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
  });

  test("of an argument is dropped too", async () => {
    const peer = makeRawPeer();
    await peer.say(pushed("echo", { ...thenable, a: 1 }), ["pull", 1]);
    expect(peer.answerTo(1)).toEqual(["resolve", 1, { a: 1 }]);
    expect(peer.released()).toEqual({ [-1]: 1 });
  });
});

describe.each(["flotilla.v1", "capnweb"] as const)("two of ours over %s", (framing) => {
  interface Item extends RpcTarget {
    hi(): string;
  }
  interface Callback extends RpcTarget {
    slow(): string;
    hi(): string;
  }
  interface Main extends RpcTarget {
    get(callback: Callback): { x: string; item: Item };
    keep(callback: Callback): Item;
    f(...values: unknown[]): string;
  }
  class Speaker extends RpcTarget {
    readonly answer = Promise.withResolvers<string>();
    slow() {
      return this.answer.promise;
    }
    hi() {
      return "hi";
    }
  }
  class MainTarget extends RpcTarget {
    get(callback: RpcStub<Callback>) {
      return { x: callback.slow(), item: new Speaker() };
    }
    keep(callback: RpcStub<Callback>) {
      return callback.dup();
    }
    f() {
      return "done";
    }
  }

  function connected() {
    const clock = makeVirtualClock();
    const link = makeMemoryLink({ framing });
    const server = openSession(link.right, { localMain: new MainTarget(), clock });
    const client = openSession(link.left, { clock });
    return { clock, server, client, main: client.remoteMain as unknown as RpcStub<Main> };
  }

  test("a result that has come, and waits for a part of itself, can be called on", async () => {
    const { clock, client, server, main } = connected();
    const callback = new Speaker();
    {
      using result = main.get(callback as never);
      result.then(undefined, () => {});
      await clock.settle();
      const said = result.item.hi();
      said.then(undefined, () => {});
      await clock.settle();
      expect(await main.f()).toBe("done");
      callback.answer.resolve("there");
      expect(await said).toBe("hi");
      expect((await result).x).toBe("there");
    }
    await clock.settle();
    expect([client.stats(), server.stats()]).toEqual(many(2, { imports: 1, exports: 1 }));
  });

  test("a getter that makes a call while its object is written takes nothing away from that call", async () => {
    const { clock, main } = connected();
    let inner: PromiseLike<RpcStub<Item>> | undefined;
    const value = {
      get made() {
        inner = main.keep(new Speaker() as never) as never;
        return 1;
      },
      bad: new Map(),
    };
    await expect(Promise.resolve(main.f(value))).rejects.toMatchObject({ code: "invalid_argument" });
    await clock.settle();
    expect(await (await inner!).hi()).toBe("hi");
  });
});
