import { describe, expect, test } from "vitest";
import { stockVersions } from "../../../tests/stock-versions.ts";
import { currentContext, withContext } from "../base/context.ts";
import { edgeLimits } from "../base/limits.ts";
import { describeSession, makeRig } from "./fixtures/conformance.ts";
import { makeRawPeer, violated } from "./fixtures/raw-peer.ts";
import { memoryWire, stockWire, webSocketWire } from "./fixtures/wires.ts";
import { RpcTarget } from "./stub.ts";

const wires = [
  memoryWire("flotilla.v1"),
  memoryWire("capnweb"),
  webSocketWire("flotilla.v1"),
  webSocketWire("capnweb"),
  ...stockVersions.map(stockWire),
];
for (const wire of wires) describeSession(wire);

class Counting extends RpcTarget {
  calls = 0;
  note() {
    this.calls += 1;
  }
}

/** A session that reads one message each time that `goOn` is called. */
function makePaced() {
  const main = new Counting();
  const turns: (() => void)[] = [];
  const changes: number[] = [];
  const unread = { isStanding: false, waited: () => false };
  const peer = makeRawPeer({
    makeMain: () => main,
    pace: { next: () => new Promise((resolve) => turns.push(resolve)), filled() {}, emptied() {}, unread },
    intake: { lines() {}, unread: (change) => changes.push(change) },
  });
  return {
    main,
    peer,
    /** Messages that the session says wait. */
    unread: () => changes.reduce((sum, change) => sum + change, 0),
    async goOn() {
      turns.shift()?.();
      await peer.clock.settle();
    },
  };
}

const note = ["push", ["pipeline", 0, ["note"], [1]]];

describe("a session that works off its messages at a pace", () => {
  test("begins one in each turn, in their order, and says how many wait", async () => {
    const { main, peer, goOn, unread } = makePaced();
    await peer.say(note, note, ["pull", 1]);
    await peer.say(note);
    expect([main.calls, unread()]).toEqual([0, 4]);
    await goOn();
    expect([main.calls, unread()]).toEqual([1, 3]);
    await goOn();
    expect([main.calls, unread()]).toEqual([2, 2]);
    await goOn();
    expect(peer.answerTo(1)).toEqual(["resolve", 1, ["undefined"]]);
    await goOn();
    expect([main.calls, unread()]).toEqual([3, 0]);
  });

  test("begins nothing more of what has arrived when the channel closes", async () => {
    const { main, peer, goOn, unread } = makePaced();
    await peer.say(note, note, note);
    await goOn();
    peer.cut();
    expect(await peer.session.closed).toMatchObject({ code: "unavailable" });
    await goOn();
    expect([main.calls, unread()]).toEqual([1, 0]);
  });

  test("begins nothing more of what has arrived before a violation", async () => {
    const { main, peer, goOn, unread } = makePaced();
    await peer.say(note, note, note);
    await goOn();
    await peer.say(["pull", -1]);
    expect(await peer.session.closed).toMatchObject(violated);
    await goOn();
    expect([main.calls, unread()]).toEqual([1, 0]);
  });

  test("takes again what it let go of, though neither was worked off yet", async () => {
    const { main, peer, goOn } = makePaced();
    const { outstandingCallsMax } = edgeLimits;
    await peer.say(...Array.from({ length: outstandingCallsMax }, () => note));
    await peer.say(["release", 1, 1], ["release", 2, 1], note, note);
    expect(peer.closes).toEqual([]);
    for (let turn = 0; turn < outstandingCallsMax + 4; turn += 1) await goOn();
    expect(main.calls).toBe(outstandingCallsMax + 2);
    expect(peer.session.stats().exports).toBe(1 + outstandingCallsMax);
  });
});

describe.each(wires.filter(({ framing }) => framing === "flotilla.v1"))("$name, between two of ours", (wire) => {
  const sent = (frames: { readonly direction: "in" | "out"; readonly frame: string }[]) =>
    frames.filter(({ direction }) => direction === "out").map(({ frame }) => frame.split("\n"));
  const isContext = (line: string) => line.startsWith("{");
  const words = (lines: readonly string[]) =>
    lines.map((line) => (isContext(line) ? "context" : (JSON.parse(line) as string[])[0]));

  test("what is sent in one turn is one frame", async () => {
    await using rig = await makeRig(wire);
    await Promise.all([rig.main.note(1), rig.main.note(2), withContext({}, () => rig.main.note(3))]);
    const [first = []] = sent(rig.frames);
    // A call outside any context gets one of its own.
    const call = ["context", "call"];
    expect(words(first)).toEqual([...call, ...call, ...call]);
  });

  test("a call that was answered is released together with the next one", async () => {
    const peer = makeRawPeer();
    const main = peer.session.remoteMain as unknown as { note(number: number): Promise<void> };
    const first = Promise.resolve(main.note(1));
    await peer.clock.settle();
    await peer.say(["resolve", 1, null]);
    await first;
    expect(peer.heard.map(([word]) => word)).toEqual(["call"]);
    main.note(2).then(undefined, () => {});
    await peer.clock.settle();
    expect(peer.heard.map(([word]) => word)).toEqual(["call", "release", "call"]);
  });

  test("a context is said once for each change of it in a frame, and again in the next frame", async () => {
    await using rig = await makeRig(wire);
    await withContext({ callers: ["one"] }, async () => {
      const here = [rig.main.note(1), rig.main.note(2)];
      const there = withContext({ callers: ["two"] }, () => [rig.main.note(3), rig.main.note(4)]);
      await Promise.all([...here, ...there, rig.main.note(5)]);
      await rig.main.note(6);
    });
    const contexts = sent(rig.frames)
      .map((lines) => lines.filter(isContext).map((line) => (JSON.parse(line) as { via: string[] }).via[0]))
      .filter((names) => names.length > 0);
    expect(contexts).toEqual([["one", "two", "one"], ["one"]]);
  });

  test("frames are split when they grow large, each with the context of its calls", async () => {
    await using rig = await makeRig(wire);
    const text = "x".repeat(10_000);
    await withContext({}, () => Promise.all(Array.from({ length: 20 }, () => rig.main.echo(text))));
    const isCall = (word: string | undefined) => word === "push" || word === "call";
    const calling = sent(rig.frames).filter((lines) => words(lines).some(isCall));
    expect(calling.map((lines) => words(lines).filter(isCall).length)).toEqual([6, 6, 6, 2]);
    expect(calling.every((lines) => isContext(lines[0] ?? ""))).toBe(true);
    expect(calling.every((lines) => lines.join("\n").length <= 64 * 1024)).toBe(true);
  });

  test("messages that are each within the limit never make a frame that is above it", async () => {
    await using rig = await makeRig(wire);
    const small = "é".repeat(30_000);
    const large = "x".repeat(edgeLimits.frameBytesMax - 1_000);
    const texts = [small, small, large, small, large];
    expect(await Promise.all(texts.map((text) => rig.main.echo(text)))).toEqual(texts);
  });

  test("opening a session and calling leave no context behind in the caller", async () => {
    await using rig = await makeRig(wire);
    await rig.main.note(1);
    expect(currentContext()).toBeUndefined();
  });
});
