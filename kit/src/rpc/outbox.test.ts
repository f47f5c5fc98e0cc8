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

describe("the release of an answered call", () => {
  test("leaves in the frame of the next message, before it", async () => {
    const { clock, frames, outbox } = makeOutbox();
    outbox.release(1);
    await clock.settle();
    expect(frames).toEqual([]);
    outbox.add("call");
    outbox.release(2);
    await clock.settle();
    expect(frames).toEqual(['["release",1,1]\ncall\n["release",2,1]']);
  });

  test("shares a message with those that stand next to it", async () => {
    const { clock, frames, outbox } = makeOutbox();
    for (const id of [1, 2, 3]) outbox.release(id);
    outbox.add("call");
    for (const id of [4, 5]) outbox.release(id);
    await clock.settle();
    outbox.release(6);
    await clock.advance(10);
    expect(frames).toEqual(['["release",[1,2,3]]\ncall\n["release",[4,5]]', '["release",6,1]']);
  });

  test("leaves by itself after 5 ms in which nothing else did", async () => {
    const { clock, frames, outbox } = makeOutbox();
    outbox.release(1);
    await clock.advance(4);
    expect(frames).toEqual([]);
    await clock.advance(1);
    expect(frames).toEqual(['["release",1,1]']);
  });

  test("waits for a next frame as long as there are some", async () => {
    const { clock, frames, outbox } = makeOutbox();
    for (const number of [1, 2, 3, 4]) {
      outbox.release(number);
      await clock.advance(3);
      outbox.add(`call ${number}`);
      await clock.settle();
      outbox.release(10 + number);
    }
    expect(frames.map((frame) => frame.split("\n").at(-1))).toEqual(["call 1", "call 2", "call 3", "call 4"]);
    await clock.advance(10);
    expect(frames.slice(4)).toEqual(['["release",14,1]']);
  });

  test("leaves at once to a stock peer, and when the session closes", async () => {
    const stock = makeOutbox("capnweb");
    stock.outbox.release(1);
    stock.outbox.release(2);
    expect(stock.frames).toEqual(['["release",1,1]', '["release",2,1]']);
    const { clock, frames, outbox } = makeOutbox();
    outbox.release(1);
    outbox.flush();
    expect(frames).toEqual(['["release",1,1]']);
    await clock.advance(10);
    expect(frames).toEqual(['["release",1,1]']);
  });

  test("sets no timer that outlives the session", async () => {
    const { clock, frames, outbox } = makeOutbox();
    outbox.release(1);
    outbox.end();
    await clock.advance(10);
    expect(frames).toEqual([]);
  });

  test("is never part of a frame that its peer must refuse", async () => {
    const { clock, frames, outbox } = makeOutbox();
    const ids = Array.from({ length: 10_000 }, (_, at) => Number.MAX_SAFE_INTEGER - at);
    for (const id of ids) outbox.release(id);
    await clock.advance(10);
    expect(frames.map((frame) => frame.length <= 64 * 1024)).toEqual([true, true, true]);
    expect(frames.flatMap((frame) => JSON.parse(frame)[1] as number[])).toEqual(ids);
  });
});

describe("a message that gets its text when it leaves", () => {
  test("is written then, and once", async () => {
    const { clock, frames, outbox } = makeOutbox();
    let text = "pushed";
    outbox.add({ charsMax: 6, write: () => text });
    text = "called";
    await clock.settle();
    expect(frames).toEqual(["called"]);
    await clock.advance(10);
    expect(frames).toHaveLength(1);
  });

  test("is written at once for a stock peer", () => {
    const { frames, outbox } = makeOutbox("capnweb");
    outbox.add({ charsMax: 6, write: () => "pushed" });
    expect(frames).toEqual(["pushed"]);
  });

  test("counts for the frame with the characters that it may take", async () => {
    const { clock, frames, outbox } = makeOutbox();
    for (let count = 0; count < 100; count += 1) outbox.add({ charsMax: 1_000, write: () => "short" });
    await clock.settle();
    expect(frames.map((frame) => frame.split("\n").length)).toEqual([65, 35]);
  });
});
