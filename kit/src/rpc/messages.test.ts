import { describe, expect, test } from "vitest";
import { call, expectAlive, expectEnded, makeRawPeer, rejection, violated } from "./fixtures/raw-peer.ts";
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

describe("between two of ours", () => {
  const awaited = ["call", ["pipeline", 0, ["f"], []]];

  test("one message makes a call and awaits it", async () => {
    const peer = makeRawPeer();
    await peer.say(awaited, call(), awaited);
    expect(peer.heard).toEqual([
      ["resolve", 1, "done"],
      ["resolve", 3, "done"],
    ]);
    await expectAlive(peer, 4);
  });

  test("one that names nothing to call ends the session", async () => {
    const peer = makeRawPeer();
    await peer.say(["call"]);
    await expectEnded(peer, violated);
  });

  test("one message lets go of several calls, whose results end in its order", async () => {
    const peer = makeRawPeer();
    const self = ["push", ["pipeline", 0, ["self"], []]];
    await peer.say(self, self, self, ["release", [1, 3]]);
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 2 });
    await peer.say(["release", []], ["release", [2]]);
    await expectAlive(peer, 4);
  });

  test.each<[string, unknown[]]>([
    ["in one message", [["release", [1, 1]]]],
    [
      "in two messages of a frame",
      [
        ["release", [1]],
        ["release", 1, 1],
      ],
    ],
    ["with a count", [["release", [1], 1]]],
  ])("the same call twice %s ends the session", async (_, messages) => {
    const peer = makeRawPeer();
    await peer.say(call(), call());
    await peer.say(...messages);
    await expectEnded(peer, violated);
  });

  test.each([[awaited], [["release", [1]]]])("a stock peer does not say %j", async (message) => {
    const peer = makeRawPeer({ framing: "capnweb" });
    await peer.say(call());
    await peer.say(message);
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

describe("what is not offered fails its own call", () => {
  const unimplemented = { code: "unimplemented", retryable: false };
  const values: Record<string, unknown> = {
    "a promise": ["promise", -1],
    "a map": ["remap", 0, ["list"], [], [["pipeline", 0, ["f"]]]],
    "a blob": ["blob", "text/plain", ["readable", 1]],
    "a readable": ["readable", 1],
    "a writable": ["writable", -1],
    "a list of headers": ["headers", []],
    "a request": ["request", "http://10.0.0.1/", {}],
    "a response": ["response", null, {}],
    "a call": ["pipeline", 0, ["g"], []],
    "a call on a capability": ["import", 0, ["g"], []],
  };
  /** By which the error calls it; a call in another argument is refused before what is in it. */
  const names: Record<string, string> = {
    "a promise": "a promise as an argument",
    "a map": "map",
    "a blob": "Blob",
    "a readable": "ReadableStream",
    "a writable": "WritableStream",
    "a list of headers": "Headers",
    "a request": "Request",
    "a response": "Response",
  };
  const calling = "the arguments of a call in an argument";
  const places: Record<string, (value: unknown) => unknown> = {
    "an argument": (value) => call(value),
    "an array": (value) => call([[1, value]]),
    "an object": (value) => call({ a: { b: value } }),
    "an array in an array": (value) => call([[[[value]]]]),
    "the properties of an error": (value) => call(["error", "E", "x", null, { cause: value }]),
    "an error's error's properties": (value) =>
      call(["error", "E", "x", null, { cause: ["error", "E", "x", "stack", { value }] }]),
    [calling]: (value) => call(["pipeline", 0, ["g"], [value]]),
    "a key that is dropped": (value) => call(JSON.parse(`{"__proto__":${JSON.stringify(value)}}`)),
    "a stream": (value) => ["stream", ["pipeline", 0, ["f"], [value]]],
  };
  const cases = Object.keys(places).flatMap((place) => Object.keys(values).map((what) => [what, place] as const));

  test.each(cases)("%s in %s", async (what, place) => {
    const peer = makeRawPeer();
    await peer.say(places[place]!(values[what]));
    const isStream = place === "a stream";
    if (!isStream) await peer.say(["pull", 1], ["release", 1, 1]);
    expect(peer.answerTo(1)).toEqual(rejection(1, unimplemented));
    expect(JSON.stringify(peer.answerTo(1))).toContain(
      `Not offered here: ${(place !== calling && names[what]) || "a call within an argument"}`,
    );
    await expectAlive(peer, 2);
    await peer.say(["release", 2, 1]);
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
  });

  test.each(Object.keys(values))("%s in an answer: our own", async (what) => {
    const peer = makeRawPeer();
    const answer = Promise.resolve((peer.session.remoteMain as unknown as { f(): Promise<unknown> }).f());
    answer.catch(() => {});
    await peer.clock.settle();
    await peer.say(["resolve", 1, { a: [["b", values[what]]] }]);
    await expect(answer).rejects.toMatchObject(unimplemented);
    await expectAlive(peer, 1);
  });

  test.each(Object.keys(values))("%s in a rejection: our own fails all the same", async (what) => {
    const peer = makeRawPeer();
    const answer = Promise.resolve((peer.session.remoteMain as unknown as { f(): Promise<unknown> }).f());
    answer.catch(() => {});
    await peer.clock.settle();
    await peer.say(["reject", 1, ["error", "E", "x", null, { value: values[what] }]]);
    await expect(answer).rejects.toMatchObject(unimplemented);
    await expectAlive(peer, 1);
  });

  test.each(Object.keys(values))("%s in an abort, which is one all the same", async (what) => {
    const peer = makeRawPeer();
    await peer.say(["abort", values[what]]);
    expect(await peer.session.closed).toMatchObject({ code: "unavailable", reason: "session_ended" });
  });

  test.each<[string, unknown]>([
    ["data", { a: 1 }],
    ["text", "f"],
    ["a number", 7],
    ["null", null],
    ["an error", ["error", "Error", "x"]],
    ["a capability", ["export", -1]],
    ["a list of calls", [[["pipeline", 0, ["f"]]]]],
    ["a map", values["a map"]],
    ["a promise", ["promise", -1]],
  ])("a push of %s", async (_, value) => {
    const peer = makeRawPeer();
    await peer.say(["push", value], ["pull", 1], ["release", 1, 1]);
    expect(peer.answerTo(1)).toEqual(rejection(1, unimplemented));
    await expectAlive(peer, 2);
  });

  test("a pipe, and what streams into it", async () => {
    const peer = makeRawPeer();
    await peer.say(["pipe"], ["stream", ["pipeline", 1, ["write"], ["x"]]], ["pull", 1]);
    expect(peer.answerTo(1)).toEqual(rejection(1, unimplemented));
    expect(peer.answerTo(2)).toEqual(rejection(2, unimplemented));
    await peer.say(["release", 1, 1]);
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
    await expectAlive(peer, 3);
  });

  test("a pull of the main object", async () => {
    const peer = makeRawPeer();
    await peer.say(["pull", 0]);
    expect(peer.heard).toEqual([rejection(0, unimplemented)]);
    await expectAlive(peer, 1);
  });
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
