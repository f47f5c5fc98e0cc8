import { describe, expect, test } from "vitest";
import { systemClock } from "../base/clock.ts";
import { currentContext, withContext } from "../base/context.ts";
import { edgeLimits } from "../base/limits.ts";
import { describeTransport, makeRig } from "./fixtures/conformance.ts";
import { memoryWire, stockWire, webSocketWire } from "./fixtures/wires.ts";
import { makeMemoryLink } from "./memory.ts";
import { makePaces } from "./pace.ts";
import { makeTransport } from "./transport.ts";

const wires = [
  memoryWire("flotilla.v1"),
  memoryWire("capnweb"),
  webSocketWire("flotilla.v1"),
  webSocketWire("capnweb"),
  stockWire,
];
for (const wire of wires) describeTransport(wire);

test("what stands before a violation, and was not begun, is not begun any more", async () => {
  const { left, right } = makeMemoryLink();
  left.listen({ frame() {}, closed() {} });
  const transport = makeTransport(right, {
    limits: edgeLimits,
    callers: { keepCallers: false, peerName: undefined },
  });
  const call = '["push",["pipeline",0,["note"],[1]]]';
  const first = transport.receive();
  left.send([call, call, call, '["pull",-1]'].join("\n"));
  // Somebody waited for it when it came.
  expect((await first) as unknown[]).toHaveLength(2);
  await expect(transport.receive()).rejects.toMatchObject({ reason: "protocol_violation" });
});

test("what has arrived when the channel closes, and was not begun, is not begun any more", async () => {
  const { left, right } = makeMemoryLink();
  left.listen({ frame() {}, closed() {} });
  const turns: (() => void)[] = [];
  const transport = makeTransport(right, {
    limits: edgeLimits,
    callers: { keepCallers: false, peerName: undefined },
    pace: { ...makePaces(1, systemClock)!.join(), next: () => new Promise((resolve) => turns.push(resolve)) },
  });
  const call = '["push",["pipeline",0,["note"],[1]]]';
  const first = transport.receive();
  left.send([call, call, call].join("\n"));
  expect((await first) as unknown[]).toHaveLength(2);
  const paced = transport.receive();
  left.terminate();
  await new Promise((resolve) => setImmediate(resolve));
  turns[0]?.();
  await expect(paced).rejects.toMatchObject({ code: "unavailable" });
  await expect(transport.receive()).rejects.toMatchObject({ code: "unavailable" });
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
    const call = ["context", "push"];
    expect(words(first)).toEqual([...call, ...call, ...call, "pull", "pull", "pull"]);
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
    const calling = sent(rig.frames).filter((lines) => lines.some((line) => line.startsWith('["push"')));
    expect(calling.map((lines) => words(lines).filter((word) => word === "push").length)).toEqual([6, 6, 6, 2]);
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
