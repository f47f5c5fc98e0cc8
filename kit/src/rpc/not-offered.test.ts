import { describe, expect, test } from "vitest";
import { call, expectAlive, makeRawPeer, rejection } from "./fixtures/raw-peer.ts";

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

  test("a pipe that no contract asks for, and what streams into it", async () => {
    const peer = makeRawPeer();
    const write = ["stream", ["pipeline", 1, ["write"], [["bytes", "AAAA"]]]];
    await peer.say(["pipe"], write, call(["readable", 1]), ["pull", 3]);
    expect(peer.answerTo(3)).toEqual(rejection(3, unimplemented));
    expect(peer.answerTo(2)).toEqual(rejection(2, { code: "aborted", reason: "stream_ended" }));
    await peer.say(["release", 1, 1], ["release", 3, 1]);
    expect(peer.session.stats()).toEqual({ imports: 1, exports: 1 });
    await expectAlive(peer, 4);
  });

  test("a pull of the main object", async () => {
    const peer = makeRawPeer();
    await peer.say(["pull", 0]);
    expect(peer.heard).toEqual([rejection(0, unimplemented)]);
    await expectAlive(peer, 1);
  });
});
