import { describe, expect, test } from "vitest";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import type { Framing } from "../transport/channel.ts";
import { Outbox } from "./outbox.ts";

function makeOutbox(framing: Framing = "flotilla.v1") {
  const clock = makeVirtualClock();
  const frames: string[] = [];
  const outbox = new Outbox(framing, clock, (frame) => void frames.push(frame));
  return { clock, frames, outbox };
}

describe("a message that nobody waits for", () => {
  test("leaves in the frame of the next one, before it", async () => {
    const { clock, frames, outbox } = makeOutbox();
    outbox.addUnhurried("released");
    await clock.settle();
    expect(frames).toEqual([]);
    outbox.add("call");
    outbox.addUnhurried("released too");
    await clock.settle();
    expect(frames).toEqual(["released\ncall\nreleased too"]);
  });

  test("leaves by itself after 5 ms in which nothing else did", async () => {
    const { clock, frames, outbox } = makeOutbox();
    outbox.addUnhurried("first");
    outbox.addUnhurried("second");
    await clock.advance(4);
    expect(frames).toEqual([]);
    await clock.advance(1);
    expect(frames).toEqual(["first\nsecond"]);
  });

  test("waits for a next frame as long as there are some", async () => {
    const { clock, frames, outbox } = makeOutbox();
    for (const number of [1, 2, 3, 4]) {
      outbox.addUnhurried(`released ${number}`);
      await clock.advance(3);
      outbox.add(`call ${number}`);
      await clock.settle();
      outbox.addUnhurried(`after ${number}`);
    }
    expect(frames.map((frame) => frame.split("\n").at(-1))).toEqual(["call 1", "call 2", "call 3", "call 4"]);
    await clock.advance(10);
    expect(frames.slice(4)).toEqual(["after 4"]);
  });

  test("leaves at once to a stock peer, and when the session closes", async () => {
    const stock = makeOutbox("capnweb");
    stock.outbox.addUnhurried("released");
    expect(stock.frames).toEqual(["released"]);
    const { clock, frames, outbox } = makeOutbox();
    outbox.addUnhurried("released");
    outbox.flush();
    expect(frames).toEqual(["released"]);
    await clock.advance(10);
    expect(frames).toEqual(["released"]);
  });

  test("is never part of a frame that its peer must refuse", async () => {
    const { clock, frames, outbox } = makeOutbox();
    for (let count = 0; count < 100; count += 1) outbox.addUnhurried("x".repeat(1_000));
    await clock.advance(10);
    expect(frames.map((frame) => frame.length <= 64 * 1024)).toEqual([true, true]);
    expect(frames.join("\n").split("\n")).toHaveLength(100);
  });
});
