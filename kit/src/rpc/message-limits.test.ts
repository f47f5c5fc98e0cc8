import { describe, expect, test } from "vitest";
import { edgeLimits, type Limits } from "../base/limits.ts";
import {
  call,
  expectAlive,
  expectEnded,
  limited,
  makeRawPeer,
  many,
  nested,
  type RawPeer,
  rejection,
} from "./fixtures/raw-peer.ts";

const limits = edgeLimits;
const tooMuch = {
  "values, in an array": call([many(limits.messageNodesMax, 1)]),
  "values, in an object": call(Object.fromEntries(many(limits.messageNodesMax, 0).map((_, index) => [index, 1]))),
  "values, of which each holds another": call([many(limits.messageNodesMax, { a: 1 })]),
  arguments: call(...many(limits.messageNodesMax + 1, 1)),
  nesting: call(nested(limits.messageDepthMax)),
  "nesting by far": call(nested(500)),
  "references to results": call([many(limits.messageReferencesMax + 1, ["pipeline", 0])]),
  "references to ours": call([many(limits.messageReferencesMax + 1, ["import", 0])]),
  capabilities: call([Array.from({ length: limits.messageReferencesMax + 1 }, (_, index) => ["export", -1 - index])]),
  "names in a path": ["push", ["pipeline", 0, many(limits.pipelineDepthMax + 1, "a"), []]],
  "names in a path to a property": ["push", ["pipeline", 0, many(limits.pipelineDepthMax + 1, "a")]],
  "names in the path of an argument": call(["import", 0, many(limits.pipelineDepthMax + 1, "a")]),
  "causes of an error": call(caused(limits.errorDepthMax + 1)),
  "causes of an error, deep in": call([[caused(limits.errorDepthMax + 1)]]),
};

function caused(depth: number): unknown {
  return ["error", "Error", "m", null, depth > 1 ? { cause: caused(depth - 1) } : {}];
}

describe("a call that costs too much fails, in time, and no other", () => {
  test.each(Object.keys(tooMuch) as (keyof typeof tooMuch)[])("too much: %s", async (what) => {
    const peer = makeRawPeer();
    await peer.say(call(), tooMuch[what], ["pull", 1], ["pull", 2], ["release", 2, 1]);
    expect(peer.answerTo(1)).toEqual(["resolve", 1, "done"]);
    expect(peer.answerTo(2)).toEqual(rejection(2, limited));
    await expectAlive(peer, 3);
    await peer.say(["release", 1, 1], ["release", 3, 1]);
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
  });

  test.each<[string, unknown]>([
    ["values", call([many(limits.messageNodesMax - 1, 1)])],
    ["nesting", call(nested(limits.messageDepthMax - 1))],
    ["references", call([many(limits.messageReferencesMax, ["pipeline", 0])])],
    ["causes of an error", call(caused(limits.errorDepthMax))],
  ])("exactly as much %s as is allowed passes", async (_, message) => {
    const peer = makeRawPeer();
    await peer.say(message, ["pull", 1]);
    expect(peer.answerTo(1)).toEqual(["resolve", 1, "done"]);
  });

  test("as many names in a path as are allowed are looked for", async () => {
    const peer = makeRawPeer();
    await peer.say(["push", ["pipeline", 0, many(limits.pipelineDepthMax, "a"), []]], ["pull", 1]);
    expect(peer.answerTo(1)).toEqual(rejection(1, { code: "unimplemented" }));
  });

  test("nesting of 100,000 is refused by its depth, not by the stack", async () => {
    const peer = makeRawPeer();
    const value = `${"[[".repeat(50_000)}1${"]]".repeat(50_000)}`;
    await peer.sayText(`["push",["pipeline",0,["f"],[${value}]]]\n["pull",1]`);
    expect(peer.answerTo(1)).toEqual(rejection(1, limited));
    await expectAlive(peer, 2);
  });

  test("its time grows with its size and no faster: a quadratic walk would outlast this test by hours", async () => {
    const wide: Limits = { ...limits, frameBytesMax: 1e9, messageNodesMax: 100 };
    const peer = makeRawPeer({ limits: wide });
    const wideAndDeep = `[[${`${"[[".repeat(50)}1${"]]".repeat(50)},`.repeat(20_000)}1]]`;
    await peer.sayText(`["push",["pipeline",0,["f"],[${wideAndDeep}]]]\n["pull",1]`);
    expect(peer.answerTo(1)).toEqual(rejection(1, limited));
  });
});

describe("an answer that costs too much fails our own call, and no other", () => {
  const argumentOf = (message: unknown) => (message as [string, [string, number, [string], [unknown]]])[1][3][0];
  const cases = (Object.keys(tooMuch) as (keyof typeof tooMuch)[]).filter(
    (what) => what !== "arguments" && !what.startsWith("names in a path"),
  );

  test.each(cases)("too much: %s", async (what) => {
    const peer = makeRawPeer();
    const main = peer.session.remoteMain as unknown as { f(): Promise<unknown> };
    const answers = Promise.allSettled([main.f(), main.f()].map((one) => Promise.resolve(one)));
    await peer.clock.settle();
    await peer.say(["resolve", 1, [[argumentOf(tooMuch[what])]]], ["resolve", 2, "fine"]);
    expect(await answers).toEqual([
      { status: "rejected", reason: expect.objectContaining(limited) },
      { status: "fulfilled", value: "fine" },
    ]);
    await expectAlive(peer, 1);
  });
});

describe("over the life of a session", () => {
  const chain = (length: number) => Array.from({ length }, (_, id) => ["push", ["pipeline", id, ["self"], []]]);

  test("calls may be pipelined on each other only so far; the one beyond fails", async () => {
    const peer = makeRawPeer();
    const { pipelineDepthMax } = limits;
    await peer.say(...chain(pipelineDepthMax + 1), ["pull", pipelineDepthMax], ["pull", pipelineDepthMax + 1]);
    expect(peer.answerTo(pipelineDepthMax)).toEqual(["resolve", pipelineDepthMax, ["export", -1]]);
    expect(peer.answerTo(pipelineDepthMax + 1)).toEqual(rejection(pipelineDepthMax + 1, limited));
    await expectAlive(peer, pipelineDepthMax + 2);
  });

  test("properties read on each other count as much as calls", async () => {
    const peer = makeRawPeer();
    const { pipelineDepthMax } = limits;
    const reads = Array.from({ length: pipelineDepthMax + 1 }, (_, id) => ["push", ["pipeline", id]]);
    await peer.say(...reads, ["pull", pipelineDepthMax + 1]);
    expect(peer.answerTo(pipelineDepthMax + 1)).toEqual(rejection(pipelineDepthMax + 1, limited));
  });

  test("a call on the capability that a result was counts from the start again", async () => {
    const peer = makeRawPeer();
    const { pipelineDepthMax } = limits;
    await peer.say(...chain(pipelineDepthMax), ["pull", pipelineDepthMax]);
    await peer.say(["push", ["pipeline", -1, ["f"], []]], ["pull", pipelineDepthMax + 1]);
    expect(peer.answerTo(pipelineDepthMax + 1)).toEqual(["resolve", pipelineDepthMax + 1, "done"]);
  });

  test("more calls that were not let go of than allowed end it", async () => {
    const peer = makeRawPeer();
    await peer.say(...many(limits.outstandingCallsMax, call()));
    await peer.say(call());
    await expectEnded(peer, limited);
  });

  test("as many calls again are taken when some were let go of, also in the same frame", async () => {
    const peer = makeRawPeer();
    await peer.say(...many(limits.outstandingCallsMax, call()));
    await peer.say(["release", 7, 1], call());
    await peer.say(["release", 8, 1]);
    await expectAlive(peer, limits.outstandingCallsMax + 2);
    expect(peer.session.stats().exports).toBe(1 + limits.outstandingCallsMax);
  });

  test("each of several that are let go of together makes room for one", async () => {
    const peer = makeRawPeer();
    await peer.say(...many(limits.outstandingCallsMax, call()));
    await peer.say(["release", [1, 2, 3]], call(), call(), call());
    expect(peer.closes).toEqual([]);
    await peer.say(["release", [4]], call(), call());
    await expectEnded(peer, limited);
  });

  test("a client that calls many times in a turn may do so in each", async () => {
    const { peer, ids } = await inTurns(600, 3);
    for (const id of ids) expect(peer.answerTo(id)).toEqual(["resolve", id, "done"]);
    expect(peer.closes).toEqual([]);
  });

  test("to let go of what is no call makes no room: it ends the session", async () => {
    const peer = makeRawPeer();
    await peer.say(...many(limits.outstandingCallsMax, call()));
    await peer.say(["release", 999_999, 1], call());
    await expectEnded(peer, { code: "invalid_argument" });
  });

  test("more capabilities of ours than allowed are not given, whatever became of the calls that gave them", async () => {
    const peer = makeRawPeer({ limits: { ...limits, outstandingCallsMax: 3 } });
    const give = async (id: number) => {
      await peer.say(["push", ["pipeline", 0, ["self"], []]], ["pull", id]);
      await peer.say(["release", id, 1]);
    };
    for (const id of [1, 2, 3, 4]) await give(id);
    expect(peer.answerTo(3)).toEqual(["resolve", 3, ["export", -3]]);
    expect(peer.answerTo(4)).toEqual(rejection(4, limited));
    await peer.say(["release", -1, 1], ["release", -2, 1]);
    await give(5);
    expect(peer.answerTo(5)).toEqual(["resolve", 5, ["export", -4]]);
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 3 });
  });

  test("more capabilities at once than allowed are not taken, and as many again when they were released", async () => {
    const peer = makeRawPeer();
    const hold = (id: number) => ["push", ["pipeline", 0, ["hang"], [["export", -id]]]];
    const ids = Array.from({ length: limits.exportsMax }, (_, index) => index + 1);
    await peer.say(...ids.map(hold), hold(1), hold(limits.exportsMax + 1), ["pull", limits.exportsMax + 2]);
    expect(peer.answerTo(limits.exportsMax + 2)).toEqual(rejection(limits.exportsMax + 2, limited));
    expect(peer.released()).toEqual({ [-limits.exportsMax - 1]: 1 });
    await peer.clock.advance(20_000);
    const all = Object.fromEntries(ids.map((id) => [-id, id === 1 ? 2 : 1]));
    expect(peer.released()).toEqual({ ...all, [-limits.exportsMax - 1]: 1 });
    await peer.say(["push", ["pipeline", 0, ["f"], [["export", -1000]]]], ["pull", limits.exportsMax + 3]);
    expect(peer.answerTo(limits.exportsMax + 3)).toEqual(["resolve", limits.exportsMax + 3, "done"]);
  });

  test("more messages in a second than allowed end it, and a second later as many pass again", async () => {
    const tight: Limits = { ...limits, messagesPerSecondMax: 10 };
    const peer = makeRawPeer({ limits: tight });
    await peer.say(...many(10, call()));
    await peer.clock.advance(1_000);
    await peer.say(...many(10, call()));
    expect(peer.closes).toEqual([]);
    await peer.say(call());
    await expectEnded(peer, limited);
  });

  test("a frame above the limit ends it before anything in it is read", async () => {
    const peer = makeRawPeer();
    await peer.sayText(`["push",${"x".repeat(limits.frameBytesMax)}`);
    await expectEnded(peer, limited);
  });

  /** In each of `turns` turns, a client's frame that lets go of the `count` calls of the turn before, and makes as many. */
  async function inTurns(count: number, turns: number): Promise<{ peer: RawPeer; ids: number[] }> {
    const peer = makeRawPeer({ limits: { ...limits, messagesPerSecondMax: Number.POSITIVE_INFINITY } });
    let ids: number[] = [];
    for (let turn = 0; turn < turns; turn += 1) {
      const before = ids.map((id) => ["release", id, 1]);
      ids = Array.from({ length: count }, (_, index) => turn * count + index + 1);
      await peer.say(...before, ...ids.map(() => call()), ...ids.map((id) => ["pull", id]));
    }
    return { peer, ids };
  }
});
