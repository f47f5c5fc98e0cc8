import { describe, expect, test } from "vitest";
import { call, expectAlive, expectEnded, makeRawPeer, violated } from "./fixtures/raw-peer.ts";
import { RpcTarget } from "./stub.ts";

const noCall = {
  "no array": { push: 1 },
  "a string": "push",
  "a number": 7,
  null: null,
  "an empty array": [],
  "an unknown operation": ["merge", 1],
  "an operation that is no string": [["push"], 1],
  "a push of nothing": ["push"],
  "a call on a string id": ["push", ["pipeline", "0", ["f"], []]],
  "a call on a fraction": ["push", ["pipeline", 0.5, ["f"], []]],
  "a call on an id beyond whole numbers": ["push", ["pipeline", 2 ** 53, ["f"], []]],
  "a call on a call that was not made": ["push", ["pipeline", 7, ["f"], []]],
  "a call on a capability that was not given": ["push", ["pipeline", -7, ["f"], []]],
  "a call on itself": ["push", ["pipeline", 1, ["f"], []]],
  "a call with a path that is a string": ["push", ["pipeline", 0, "f", []]],
  "a call with an object in its path": ["push", ["pipeline", 0, [{ toString: "f" }], []]],
  "a call whose arguments are no list": ["push", ["pipeline", 0, ["f"], { 0: 1 }]],
  "a call whose arguments are null": ["push", ["pipeline", 0, ["f"], null]],
  "a call with something after its arguments": ["push", ["pipeline", 0, ["f"], [], 1]],
};

const noAnswer = {
  "a pull of a capability": ["pull", -1],
  "a pull of a fraction": ["pull", 1.5],
  "a pull of a string": ["pull", "1"],
  "a pull of nothing": ["pull"],
  "a pull of a call that was not made": ["pull", 99],
  "a release of the main object": ["release", 0, 1],
  "a release with a negative count": ["release", 1, -1000],
  "a release without a count": ["release", 1],
  "a release of a fraction": ["release", 1.5, 1],
  "a release of a call that was not made": ["release", 99, 1],
  "a release of several of which one was not made": ["release", [99]],
  "a release of several that are capabilities": ["release", [-1]],
  "a release of several of which one is no number": ["release", ["1"]],
  "a release of a capability that was not given": ["release", -99, 1],
  "an answer in the name of the main object": ["resolve", 0, ["import", 0]],
  "a rejection of the main object": ["reject", 0, ["error", "Error", "x"]],
  "an answer to a fraction": ["resolve", 1.5, 1],
  "an answer to nothing": ["resolve"],
  "an answer without a value": ["resolve", 1],
  "a rejection without an error": ["reject", 1],
};

const noValue = {
  "an export of one of ours": ["export", 1],
  "an export of the main object": ["export", 0],
  "an export without an id": ["export"],
  "an export of a fraction": ["export", -1.5],
  "a result of a call that was not made": ["pipeline", 9],
  "a capability that was not given": ["import", -9],
  "a reference without an id": ["pipeline"],
  "a reference with a path that is a string": ["import", 0, "x"],
  "a reference with an object in its path": ["import", 0, [{}]],
  "an array that is not wrapped": [1, 2],
  "an unknown expression": ["secret", 1],
  "a bigint that is no number": ["bigint", "0x10"],
  "a bigint of 20,000 digits": ["bigint", "9".repeat(20_000)],
  "a bigint that is a number": ["bigint", 5],
  "a date that is text": ["date", "now"],
  "bytes that are a list": ["bytes", [1]],
  "bytes that are no base64": ["bytes", "%"],
  "bytes of a container that there is not": ["bytes", "AA", "SharedArrayBuffer"],
  "bytes that do not fill their container": ["bytes", "AAA", "Float64Array"],
  "an address that is none": ["url", "//"],
  "an undefined with something in it": ["undefined", 1],
  "an error whose name is no string": ["error", 1, "x"],
  "an error without a message": ["error", "E"],
  "an error whose properties are an expression": ["error", "E", "x", null, ["bigint", "1"]],
};

describe("a message that no peer sends ends the session", () => {
  const cases: Record<string, unknown> = {
    ...noCall,
    ...noAnswer,
    ...Object.fromEntries(Object.entries(noValue).map(([name, value]) => [name, call(value)])),
  };

  test.each(Object.keys(cases))("%s", async (name) => {
    const peer = makeRawPeer();
    await peer.say(cases[name]);
    await expectEnded(peer, violated);
  });

  test.each(Object.keys(noValue) as (keyof typeof noValue)[])("%s, in an answer", async (name) => {
    const peer = makeRawPeer();
    await peer.say(["resolve", 1, { a: noValue[name] }]);
    await expectEnded(peer, violated);
  });

  test.each(["{", "", "nonsense", '["pull",1]\n', '{"stopping":false}'])("%j", async (text) => {
    const peer = makeRawPeer();
    await peer.sayText(text);
    await expectEnded(peer, violated);
  });

  test("a context, from a stock peer, who knows none", async () => {
    const peer = makeRawPeer({ framing: "capnweb" });
    await peer.sayText(`{"tp":"00-${"a".repeat(32)}-${"b".repeat(16)}-01","ms":50,"via":[]}`);
    await expectEnded(peer, violated);
  });
});

const naming: Record<string, unknown> = {
  "a pull": ["pull", 1],
  "a release": ["release", 1, 1],
  "a call on it": ["push", ["pipeline", 1, ["f"], []]],
  "a call with it": call(["pipeline", 1]),
};
describe.each(Object.keys(naming))("%s ends the session when it names", (name) => {
  test("a stream, whose result nobody is given", async () => {
    const peer = makeRawPeer();
    await peer.say(["stream", ["pipeline", 0, ["hang"], []]]);
    await peer.say(naming[name]);
    await expectEnded(peer, violated);
  });

  test("a call that the same frame has let go of", async () => {
    const peer = makeRawPeer();
    await peer.say(call(), ["release", 1, 1], naming[name]);
    await expectEnded(peer, violated);
  });
});

describe("a peer says about a capability that it gave", () => {
  /** A session that holds the peer's capability -1, and what it hears of it. */
  async function holding() {
    const broken: unknown[] = [];
    const peer = makeRawPeer();
    const taken = Promise.resolve((peer.session.remoteMain as unknown as Giver).give());
    await peer.clock.settle();
    await peer.say(["resolve", 1, ["export", -1]]);
    const held = await taken;
    held.onRpcBroken((error) => broken.push(error));
    return { peer, held, broken };
  }
  interface Held extends Disposable {
    f(): Promise<unknown>;
    onRpcBroken(hear: (error: Error) => void): void;
  }
  interface Giver {
    give(): Promise<Held>;
  }
  const lost = ["error", "unavailable", "gone", null, { code: "unavailable", retryable: false, reason: "lost" }];

  test("that it is lost: who holds it hears so, and calls of it fail without being sent", async () => {
    const { peer, held, broken } = await holding();
    await peer.say(["reject", -1, lost]);
    expect(broken).toEqual([expect.objectContaining({ code: "unavailable", reason: "lost" })]);
    const said = peer.heard.length;
    await expect(Promise.resolve(held.f())).rejects.toMatchObject({ code: "unavailable", reason: "lost" });
    held.onRpcBroken((error) => broken.push(error));
    expect(broken).toHaveLength(2);
    expect(peer.heard).toHaveLength(said);
    held[Symbol.dispose]();
    await peer.clock.settle();
    expect(peer.released()).toEqual({ [-1]: 1 });
    await expectAlive(peer, 1);
  });

  test("that it is lost, once: a second time changes nothing", async () => {
    const { peer, broken } = await holding();
    await peer.say(["reject", -1, lost], ["reject", -1, ["error", "internal", "again"]]);
    expect(broken).toHaveLength(1);
    await expectAlive(peer, 1);
  });

  test("that it is something of ours: that ends the session, because our calls would come back to us", async () => {
    const { peer } = await holding();
    await peer.say(["resolve", -1, ["import", 0]]);
    await expectEnded(peer, violated);
  });

  test("anything of one that is not held any more: that is ignored, and what is in it released", async () => {
    const { peer, held } = await holding();
    held[Symbol.dispose]();
    await peer.say(["resolve", -1, { a: ["export", -2] }], ["reject", -1, lost]);
    expect(peer.released()).toEqual({ [-1]: 1, [-2]: 1 });
    await expectAlive(peer, 1);
  });
});

test("a call that is answered twice is answered once, and what the second answer brings is released", async () => {
  const peer = makeRawPeer();
  const answer = Promise.resolve((peer.session.remoteMain as unknown as { f(): Promise<unknown> }).f());
  await peer.clock.settle();
  await peer.say(["resolve", 1, "first"], ["resolve", 1, ["export", -1]], ["reject", 1, ["error", "E", "x"]]);
  expect(await answer).toBe("first");
  expect(peer.released()).toEqual({ [-1]: 1 });
  await expectAlive(peer, 1);
});

describe("what is not said as a call of a method", () => {
  test("a stream is pushed, asked for and let go of in one", async () => {
    const peer = makeRawPeer();
    await peer.say(["stream", ["pipeline", 0, ["f"], []]]);
    expect(peer.heard).toEqual([["resolve", 1, "done"]]);
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
    await expectAlive(peer, 2);
  });

  test("a reference without a path is another hold of the same", async () => {
    const peer = makeRawPeer();
    await peer.say(["push", ["pipeline", 0]], ["pull", 1], ["push", ["pipeline", 1, ["f"], []]], ["pull", 2]);
    expect(peer.answerTo(1)).toEqual(["resolve", 1, ["export", -1]]);
    expect(peer.answerTo(2)).toEqual(["resolve", 2, "done"]);
    await peer.say(["push", ["pipeline", -1]], ["pull", 3], ["release", -1, 1]);
    expect(peer.answerTo(3)).toEqual(["resolve", 3, ["export", -2]]);
    await peer.say(["push", ["pipeline", -2, ["f"], []]], ["pull", 4]);
    expect(peer.answerTo(4)).toEqual(["resolve", 4, "done"]);
  });

  test("a call on a result that it lets go of in the same frame is made all the same", async () => {
    const peer = makeRawPeer();
    const self = ["push", ["pipeline", 0, ["self"], []]];
    await peer.say(self, ["push", ["pipeline", 1, ["f"], []]], ["release", 1, 1], ["pull", 2], ["release", 2, 1]);
    expect(peer.answerTo(2)).toEqual(["resolve", 2, "done"]);
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
  });
});

test("what stands before a violation in its frame is not begun any more", async () => {
  let begun = 0;
  class Counting extends RpcTarget {
    f() {
      begun += 1;
    }
  }
  const peer = makeRawPeer({ localMain: new Counting() });
  await peer.say(call(), call(), ["pull", -1]);
  await expectEnded(peer, violated);
  expect(begun).toBe(0);
});
