import { describe, expect, test } from "vitest";
import { edgeLimits } from "../base/limits.ts";
import { expectAlive, makeRawPeer, many, nested } from "./fixtures/raw-peer.ts";

const { messageNodesMax, messageDepthMax, messageReferencesMax, pipelineDepthMax, errorDepthMax } = edgeLimits;

/** Hands out `count` capabilities, -1 first, in the shape that is asked for. */
type Gifts = (tag?: "export" | "promise" | "writable") => unknown;

/** Refused messages, with capabilities of the peer's before, in and after the refused part. */
const refused: Record<string, (gift: Gifts) => unknown[]> = {
  "nothing: it is taken": (gift) => [gift(), { a: gift() }],
  "a promise": (gift) => [gift(), gift("promise"), gift()],
  "a writable": (gift) => [gift(), gift("writable"), gift()],
  "a promise, deep in": (gift) => [[[gift(), { a: [[gift("promise")]] }]], gift()],
  "a readable": (gift) => [gift(), ["readable", 1], gift()],
  "a blob": (gift) => [gift(), ["blob", "text/plain", gift("writable")], gift()],
  "a request": (gift) => [gift(), ["request", "http://x/", { body: gift("writable"), signal: gift() }], gift()],
  "a response": (gift) => [gift(), ["response", gift("writable"), {}], gift()],
  headers: (gift) => [gift(), ["headers", [["a", "b"]]], gift()],
  "a call": (gift) => [gift(), ["pipeline", 0, ["f"], [gift(), [[gift()]], { a: gift("promise") }]], gift()],
  "a call on a capability": (gift) => [gift(), ["import", 0, ["f"], [gift()]], gift()],
  "a call with one argument, which is a capability": (gift) => [["pipeline", 0, ["f"], [gift()]]],
  "a call in a call": (gift) => [["pipeline", 0, ["f"], [["pipeline", 0, ["g"], [gift(), gift()]]]]],
  "a map": (gift) => [
    gift(),
    [
      "remap",
      0,
      ["list"],
      [gift(), gift()],
      [
        ["pipeline", -1, ["f"]],
        ["import", 0],
      ],
    ],
    gift(),
  ],
  "an error with a promise": (gift) => [["error", "E", "x", null, { a: gift(), b: gift("promise") }], gift()],
  "an error of too many causes": (gift) => [gift(), caused(errorDepthMax + 2, gift), gift()],
  "too many values": (gift) => [gift(), [many(messageNodesMax, 1)], gift(), { a: gift("promise"), b: [[gift()]] }],
  "too many values, which hold capabilities": (gift) => [
    [many(messageNodesMax, 1).map(() => 1)],
    [many(9, 0).map(() => gift())],
  ],
  nesting: (gift) => [gift(), around(gift, messageDepthMax + 3), gift()],
  "too many references": (gift) => [[many(messageReferencesMax + 9, 0).map(() => gift())], gift()],
  "too many references, to ours": (gift) => [
    gift(),
    [many(messageReferencesMax, ["import", 0])],
    gift(),
    gift("promise"),
  ],
  "a path that is too long": (gift) => [
    gift(),
    ["import", 0, many(pipelineDepthMax + 1, "a")],
    gift(),
    gift("promise"),
  ],
  "data that looks like a capability": (gift) => [
    gift("promise"),
    [["export", -1]],
    [["promise", -1]],
    { a: [["export", -1]] },
  ],
  "what looks like one within a refused call": (gift) => [["pipeline", 0, ["f"], [gift(), [["export", -1]]]]],
  several: (gift) => [
    gift("promise"),
    ["readable", 1],
    nested(messageDepthMax),
    ["remap", 0, [], [gift()], []],
    gift(),
  ],
};

function caused(depth: number, gift: Gifts): unknown {
  return ["error", "Error", "m", null, depth > 1 ? { gift: gift(), cause: caused(depth - 1, gift) } : { gift: gift() }];
}

function around(gift: Gifts, depth: number): unknown {
  return depth === 0 ? gift() : [[gift(), around(gift, depth - 1)]];
}

/** Numbers the gifts from -1 down. */
function makeGifts(): { readonly gift: Gifts; named(): Record<number, number> } {
  let count = 0;
  return {
    gift(tag = "export") {
      count += 1;
      return [tag, -count];
    },
    named: () => Object.fromEntries(Array.from({ length: count }, (_, index) => [-index - 1, 1])),
  };
}

/** Every place in which a value may stand, and what our side does with it. */
const places: Record<string, (args: unknown[]) => unknown[]> = {
  "a call that is waited for": (args) => [
    ["push", ["pipeline", 0, ["f"], args]],
    ["pull", 1],
    ["release", 1, 1],
  ],
  "a call that is let go of at once": (args) => [
    ["push", ["pipeline", 0, ["f"], args]],
    ["release", 1, 1],
  ],
  "a call of nothing that there is": (args) => [
    ["push", ["pipeline", 0, ["none"], args]],
    ["release", 1, 1],
  ],
  "a call with too long a path": (args) => [
    ["push", ["pipeline", 0, many(pipelineDepthMax + 1, "a"), args]],
    ["release", 1, 1],
  ],
  "a stream": (args) => [["stream", ["pipeline", 0, ["f"], args]]],
  "a push of data": (args) => [
    ["push", [args]],
    ["release", 1, 1],
  ],
  "an answer to a call that was not made": (args) => [["resolve", 1, [args]]],
  "an answer in the name of a capability that is not held": (args) => [["resolve", -999, [args]]],
  "a rejection of a call that was not made": (args) => [["reject", 1, [args]]],
  "a rejection of a capability that is not held": (args) => [
    ["reject", -999, ["error", "E", "x", null, { a: [args] }]],
  ],
};

describe.each(Object.keys(places))("in %s", (place) => {
  test.each(Object.keys(refused))(
    "each capability is released exactly once, when what is refused is %s",
    async (what) => {
      const peer = makeRawPeer();
      const { gift, named } = makeGifts();
      const args = refused[what]!(gift);
      await peer.say(...places[place]!(args));
      expect(peer.released()).toEqual(named());
      expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
      expect(peer.closes).toEqual([]);
    },
  );
});

describe("in an answer to a call of ours that was refused, or that nobody waits for", () => {
  interface Far {
    f(): Promise<unknown> & Disposable;
  }

  test.each(Object.keys(refused))("each capability is released exactly once: %s", async (what) => {
    const peer = makeRawPeer();
    const { gift, named } = makeGifts();
    const answer = (peer.session.remoteMain as unknown as Far).f();
    const outcome = Promise.resolve(answer).catch(() => {});
    await peer.clock.settle();
    await peer.say(["resolve", 1, [refused[what]!(gift)]]);
    await outcome;
    answer[Symbol.dispose]();
    await peer.clock.settle();
    expect(peer.released()).toEqual(named());
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
    await expectAlive(peer, 1);
  });

  test("also where nobody sees it: under a key that is dropped, or in an error", async () => {
    const peer = makeRawPeer();
    const answer = (peer.session.remoteMain as unknown as Far).f();
    const outcome = Promise.resolve(answer);
    await peer.clock.settle();
    const error = ["error", "not_found", "x", null, { code: "not_found", retryable: false, more: ["export", -3] }];
    const value = `{"toJSON":["export",-1],"__proto__":{"a":["export",-2]},"e":${JSON.stringify(error)},"p":["error","E","m",null,{"a":["export",-4],"name":["export",-5]}]}`;
    await peer.sayText(`["resolve",1,${value}]`);
    expect(Object.keys((await outcome) as object)).toEqual(["e", "p"]);
    answer[Symbol.dispose]();
    await peer.clock.settle();
    expect(peer.released()).toEqual({ [-1]: 1, [-2]: 1, [-3]: 1, [-4]: 1, [-5]: 1 });
  });
});

test("one that is named twice is released twice, of which one release may count both", async () => {
  const peer = makeRawPeer();
  const twice = [
    ["export", -1],
    ["export", -1],
    ["promise", -1],
  ];
  await peer.say(["push", ["pipeline", 0, ["f"], twice]], ["release", 1, 1]);
  expect(peer.released()).toEqual({ [-1]: 3 });
  await peer.say(["push", ["pipeline", 0, ["f"], twice.slice(0, 2)]], ["release", 2, 1]);
  expect(peer.released()).toEqual({ [-1]: 5 });
});

test("one that is held already stays held when it is named in what is refused", async () => {
  const peer = makeRawPeer();
  await peer.say(["push", ["pipeline", 0, ["hang"], [["export", -1]]]]);
  await peer.say([
    "push",
    [
      "pipeline",
      0,
      ["f"],
      [
        ["export", -1],
        ["promise", -2],
      ],
    ],
  ]);
  expect(peer.released()).toEqual({ [-2]: 1 });
  expect(peer.session.stats().imports).toBe(2);
  await peer.clock.advance(10_000);
  expect(peer.released()).toEqual({ [-1]: 2, [-2]: 1 });
});
