import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeRawPeer, rejection } from "./fixtures/raw-peer.ts";
import { RpcTarget } from "./stub.ts";

const orphans: unknown[] = [];
const note = (reason: unknown) => void orphans.push(reason);
beforeEach(() => {
  orphans.length = 0;
  process.on("unhandledRejection", note);
});
afterEach(() => {
  process.off("unhandledRejection", note);
  expect(orphans).toEqual([]);
});

interface Watch {
  readonly waiting: PromiseWithResolvers<void>;
  /** The arguments of each call of `keep`, by their kind. */
  readonly kept: unknown[][];
  live: number;
}

class Item extends RpcTarget {
  protected readonly watch: Watch;

  constructor(watch: Watch) {
    super();
    this.watch = watch;
    watch.live += 1;
  }

  name(): string {
    return "item";
  }

  [Symbol.dispose](): void {
    this.watch.live -= 1;
  }
}

class Main extends Item {
  make(): Item {
    return new Item(this.watch);
  }

  data(): unknown {
    return { items: [new Item(this.watch), "text"], n: 7 };
  }

  /** Not there until the test lets it be. */
  async later(): Promise<Main> {
    await this.watch.waiting.promise;
    return new Main(this.watch);
  }

  async failLater(): Promise<never> {
    await this.watch.waiting.promise;
    throw new Error("expected by its caller");
  }

  async fail(): Promise<never> {
    throw new Error("expected by its caller");
  }

  async keep(...args: unknown[]): Promise<string> {
    this.watch.kept.push(args.map((arg) => (typeof arg === "function" ? "stub" : arg)));
    await this.watch.waiting.promise;
    return "kept";
  }

  async names(...items: { name(): Promise<string> }[]): Promise<string> {
    return (await Promise.all(items.map((item) => item.name()))).join();
  }
}

function makeRig(framing: "flotilla.v1" | "capnweb" = "flotilla.v1") {
  const watch: Watch = { waiting: Promise.withResolvers(), kept: [], live: 0 };
  const peer = makeRawPeer({ framing, localMain: new Main(watch) });
  return {
    ...peer,
    watch,
    /** Lets go of all that the peer holds; only the main object is left. */
    async expectNothingLeft(calls: number, given = 0) {
      for (let id = 1; id <= calls; id += 1) await peer.say(["release", id, 1]);
      for (let id = 1; id <= given; id += 1) await peer.say(["release", -id, 1]);
      watch.waiting.resolve();
      await peer.clock.settle();
      expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
      expect(watch.live).toBe(1);
      expect(peer.closes).toEqual([]);
    },
  };
}

const on = (id: number, method: string, ...args: unknown[]) => ["push", ["pipeline", id, [method], args]];

describe("an argument may refer to", () => {
  test("the result of a call of the same frame, as a capability and as what it comes to", async () => {
    const rig = makeRig();
    await rig.say(on(0, "make"), on(0, "names", ["import", 1], ["pipeline", 1]), ["pull", 2]);
    expect(rig.answerTo(2)).toEqual(["resolve", 2, "item,item"]);
    await rig.expectNothingLeft(2);
  });

  test("a capability that was given", async () => {
    const rig = makeRig();
    await rig.say(on(0, "make"), ["pull", 1], ["release", 1, 1]);
    await rig.say(on(0, "names", ["import", -1], ["pipeline", -1]), ["pull", 2]);
    expect(rig.answerTo(2)).toEqual(["resolve", 2, "item,item"]);
    await rig.say(["release", -1, 1], ["release", 2, 1]);
    expect(rig.watch.live).toBe(1);
  });

  test("the main object", async () => {
    const rig = makeRig();
    await rig.say(on(0, "names", ["import", 0], ["pipeline", 0]), ["pull", 1]);
    expect(rig.answerTo(1)).toEqual(["resolve", 1, "item,item"]);
    await rig.expectNothingLeft(1);
  });

  test("something inside a result", async () => {
    const rig = makeRig();
    const inside = (...path: unknown[]) => ["pipeline", 1, path];
    await rig.say(on(0, "data"), on(0, "keep", inside("n"), inside("items", 1), inside("items", 0), inside("none")));
    expect(rig.watch.kept).toEqual([[7, "text", "stub", undefined]]);
    await rig.say(on(0, "names", inside("items", 0), ["import", 1, ["items", 0]]), ["pull", 3]);
    expect(rig.answerTo(3)).toEqual(["resolve", 3, "item,item"]);
    await rig.expectNothingLeft(3);
  });

  test("a whole result with capabilities in it", async () => {
    const rig = makeRig();
    await rig.say(on(0, "data"), on(0, "keep", ["pipeline", 1]), ["release", 1, 1], ["pull", 2]);
    expect(rig.watch.kept).toEqual([[{ items: [expect.any(Function), "text"], n: 7 }]]);
    expect(rig.watch.live).toBe(2);
    rig.watch.waiting.resolve();
    await rig.clock.settle();
    expect(rig.answerTo(2)).toEqual(["resolve", 2, "kept"]);
    await rig.say(["release", 2, 1]);
    expect(rig.watch.live).toBe(1);
  });

  test("a result that is not there yet: the call waits for it, and one after it does not", async () => {
    const rig = makeRig();
    await rig.say(on(0, "later"), on(0, "keep", "first", ["pipeline", 1]), on(0, "keep", "second"));
    expect(rig.watch.kept).toEqual([["second"]]);
    rig.watch.waiting.resolve();
    await rig.clock.settle();
    expect(rig.watch.kept).toEqual([["second"], ["first", "stub"]]);
    await rig.expectNothingLeft(3);
  });

  test("a result that the peer lets go of in the same frame", async () => {
    const rig = makeRig();
    await rig.say(on(0, "make"), on(0, "names", ["pipeline", 1]), ["release", 1, 1], ["pull", 2]);
    expect(rig.answerTo(2)).toEqual(["resolve", 2, "item"]);
    await rig.say(["release", 2, 1]);
    expect(rig.watch.live).toBe(1);
  });

  test("one result that is not there yet, from a call that ends before: what comes then is let go of", async () => {
    const rig = makeRig();
    await rig.say(on(0, "later"), on(0, "keep", ["pipeline", 1]), ["pull", 2]);
    await rig.clock.advance(10_000);
    expect(rig.answerTo(2)).toEqual(rejection(2, { code: "deadline_exceeded" }));
    expect(rig.watch.kept).toEqual([]);
    await rig.expectNothingLeft(2);
    expect(rig.watch.kept).toEqual([]);
  });
});

test("a result lives as long as a call on it waits for its arguments", async () => {
  const gate = Promise.withResolvers<number>();
  class Gated extends RpcTarget {
    self() {
      return new Gated();
    }
    late() {
      return gate.promise;
    }
    echo(value: unknown) {
      return value;
    }
  }
  const peer = makeRawPeer({ makeMain: () => new Gated() });
  await peer.say(["push", ["pipeline", 0, ["self"], []]], ["push", ["pipeline", 0, ["late"], []]]);
  await peer.say(["push", ["pipeline", 1, ["echo"], [["pipeline", 2]]]], ["pull", 3], ["release", 1, 1]);
  gate.resolve(5);
  await peer.clock.settle();
  expect(peer.heard).toEqual([["resolve", 3, 5]]);
  await peer.say(["release", 2, 1], ["release", 3, 1]);
  expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
});

describe("a result that fails while a call whose argument it is was not delivered", () => {
  const cases: Record<string, unknown[]> = {
    "as a value, of a call on a result that is not there": on(1, "keep", ["pipeline", 2, []]),
    "as a part of it": on(1, "keep", { deep: [[["pipeline", 2, ["x"]]]] }),
    "as a capability": on(1, "keep", ["import", 2]),
    "as a capability beside a value that is not there": on(0, "keep", ["pipeline", 1, []], ["import", 2]),
    "as a capability that is kept by a call under way": on(0, "keep", ["import", 2]),
    "in a call on a call": on(3, "keep", ["pipeline", 2, []], ["import", 2]),
    "beside one that is not there, and comes later": on(0, "keep", ["pipeline", 2], ["pipeline", 1]),
    "beside one that is not there, and fails later": on(0, "keep", ["pipeline", 2], ["pipeline", 5]),
    "on a capability that was given": on(-1, "name", ["pipeline", 2]),
  };

  test.each(Object.keys(cases))("is no unhandled rejection, and leaves nothing behind: %s", async (name) => {
    const rig = makeRig("capnweb");
    await rig.say(on(0, "later"), on(0, "fail"), on(1, "later"), on(0, "make"), ["pull", 4], on(0, "failLater"));
    await rig.say(cases[name]);
    await rig.expectNothingLeft(6, 1);
  });

  test("fails that call, for whoever asks for its result", async () => {
    const rig = makeRig("capnweb");
    await rig.say(on(0, "later"), on(0, "fail"), on(1, "keep", ["pipeline", 2, []]), ["pull", 3]);
    rig.watch.waiting.resolve();
    await rig.clock.settle();
    expect(rig.answerTo(3)).toEqual(rejection(3, { code: "internal" }));
    expect(rig.watch.kept).toEqual([]);
  });

  test("fails that call once, when two do", async () => {
    const rig = makeRig();
    await rig.say(on(0, "fail"), on(0, "failLater"), on(0, "keep", ["pipeline", 1], ["pipeline", 2]), ["pull", 3]);
    expect(rig.answerTo(3)).toEqual(rejection(3, { code: "internal" }));
    rig.watch.waiting.resolve();
    await rig.clock.settle();
    expect(rig.heard.filter(([operation, id]) => operation === "reject" && id === 3)).toHaveLength(1);
    await rig.expectNothingLeft(3);
  });
});

describe("what refers to nothing that is there", () => {
  test("a result that was let go of in an earlier frame ends the session", async () => {
    const rig = makeRig();
    await rig.say(on(0, "make"), ["release", 1, 1]);
    await rig.say(on(0, "keep", ["pipeline", 1]));
    expect(await rig.session.closed).toMatchObject({ code: "invalid_argument", reason: "protocol_violation" });
    expect(rig.watch.live).toBe(0);
  });

  test.each<[string, unknown[]]>([
    ["called", ["push", ["pipeline", 1, ["f"], []]]],
    ["read", ["push", ["pipeline", 1]]],
    ["an argument", on(0, "keep", ["pipeline", 1])],
    ["an argument, as a capability", on(0, "keep", ["import", 1])],
    ["inside an argument", on(0, "keep", { a: [[["pipeline", 1, ["x"]]]] })],
  ])("a call that refers to itself, as what is %s, ends it", async (_, message) => {
    const rig = makeRig();
    await rig.say(message);
    expect(await rig.session.closed).toMatchObject({ code: "invalid_argument", reason: "protocol_violation" });
    expect(rig.watch.live).toBe(0);
  });

  test("a name that a capability does not have fails the call", async () => {
    const rig = makeRig();
    await rig.say(on(0, "make"), on(0, "keep", ["pipeline", 1, ["constructor"]]), ["pull", 2]);
    expect(rig.answerTo(2)).toEqual(rejection(2, { code: "unimplemented" }));
    await rig.expectNothingLeft(2);
  });
});

test("when the session ends, nothing that was referred to is kept", async () => {
  const rig = makeRig();
  await rig.say(on(0, "make"), ["pull", 1], on(0, "data"), on(0, "keep", ["import", 1], ["pipeline", 2]));
  await rig.say(on(0, "later"), on(-1, "name", ["pipeline", 4]), on(0, "keep", ["pipeline", 4]));
  await rig.say(["pull", 99]);
  await rig.session.closed;
  rig.watch.waiting.resolve();
  await rig.clock.settle();
  expect(rig.watch.live).toBe(0);
});
