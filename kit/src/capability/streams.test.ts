import { Type } from "typebox";
import { describe, expect, test } from "vitest";
import { newestStock } from "../../../tests/stock-versions.ts";
import { edgeLimits } from "../base/limits.ts";
import { anonymous } from "../base/peer.ts";
import { makeWires } from "../rpc/fixtures/differential.ts";
import { makeRawPeer, rejection } from "../rpc/fixtures/raw-peer.ts";
import { callOn, type Opened, type Pairing, pairingsWith } from "../rpc/fixtures/sides.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { expose } from "./boundary.ts";
import { arg, contract } from "./contract.ts";
import { readable, writable } from "./streams.ts";

const kib = 1_024;
const bytesMax = 4 * kib * kib;

interface Store extends RpcTarget {
  upload(name: string, bytes: ReadableStream<Uint8Array>): number;
  first(bytes: ReadableStream<Uint8Array>): number;
  hold(bytes: ReadableStream<Uint8Array>): void;
  download(bytes: number, to: WritableStream<Uint8Array>): string;
  drop(to: WritableStream<Uint8Array>): string;
  hurry(to: WritableStream<Uint8Array>): string;
}

const StoreContract = contract<Store>("Store", {
  upload: { params: [arg("name", Type.String()), readable("bytes", bytesMax)] },
  first: { params: [readable("bytes", bytesMax)] },
  hold: { params: [readable("bytes", bytesMax)] },
  download: { params: [arg("bytes", Type.Number()), writable("to")] },
  drop: { params: [writable("to")] },
  hurry: { params: [writable("to")] },
});

/** Does the work of `Store`, on either library. */
class Work {
  readonly held = Promise.withResolvers<void>();
  readonly errors: unknown[] = [];
  /** Bytes of the largest chunk that was read. */
  chunkMax = 0;
  /** Bytes that were written, taken or not. */
  written = 0;

  async upload(_name: string, bytes: ReadableStream<Uint8Array>) {
    let sum = 0;
    try {
      for await (const chunk of bytes) {
        this.chunkMax = Math.max(this.chunkMax, chunk.byteLength);
        for (const byte of chunk) sum += byte;
      }
    } catch (error) {
      this.errors.push(error);
      throw error;
    }
    return sum;
  }
  async first(bytes: ReadableStream<Uint8Array>) {
    const reader = bytes.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    return value!.byteLength;
  }
  async hold(bytes: ReadableStream<Uint8Array>) {
    await this.held.promise;
    await bytes.cancel();
  }
  async download(count: number, to: WritableStream<Uint8Array>) {
    const writer = to.getWriter();
    for (let left = count; left > 0; left -= 16 * kib) {
      await writer.write(new Uint8Array(16 * kib).fill(1));
      this.written += 16 * kib;
    }
    await writer.close();
    return "written";
  }
  async drop(to: WritableStream<Uint8Array>) {
    const writer = to.getWriter();
    await writer.write(new Uint8Array(1));
    return "dropped";
  }
  async hurry(to: WritableStream<Uint8Array>) {
    const writer = to.getWriter();
    await writer.write(new Uint8Array(1));
    writer.close().catch(() => {});
    return "gone";
  }
}

interface Stage {
  readonly work: Work;
  readonly client: Opened;
  readonly server: Opened;
  quiet(): Promise<void>;
}

function setUp({ client, server }: Pairing): Stage {
  const wires = makeWires();
  const link = wires.makeLink();
  const work = new Work();
  class StockStore extends newestStock.stock.RpcTarget {}
  for (const name of Object.getOwnPropertyNames(Work.prototype)) {
    const method = (work as unknown as Record<string, (...args: unknown[]) => unknown>)[name]!;
    if (name !== "constructor") Object.defineProperty(StockStore.prototype, name, { value: method.bind(work) });
  }
  const main = server.name === "ours" ? expose(StoreContract, work as never, { peer: anonymous }) : new StockStore();
  return {
    work,
    server: server.open(link.right, main),
    client: client.open(link.left),
    quiet: wires.quiet,
  };
}

/** `chunks` of `size` bytes, each 1. */
function source(chunks: number, size: number, ending: "close" | Error = "close") {
  const told = { given: 0, cancelled: 0 };
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (told.given < chunks) {
          told.given += 1;
          controller.enqueue(new Uint8Array(size).fill(1));
        } else if (ending === "close") controller.close();
        else controller.error(ending);
      },
      cancel() {
        told.cancelled += 1;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, told };
}

function sink(takes: Promise<void> = Promise.resolve()) {
  const told = { bytes: 0, end: "open" };
  const stream = new WritableStream<Uint8Array>({
    async write(chunk) {
      await takes;
      told.bytes += chunk.byteLength;
    },
    async close() {
      await takes;
      told.end = "closed";
    },
    abort() {
      told.end = "aborted";
    },
  });
  return { stream, told };
}

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) await new Promise(setImmediate);
}

const atRest = { imports: 1, exports: 1 };

describe.each(pairingsWith(newestStock).map((pairing) => [pairing.name, pairing] as const))("%s", (_, pairing) => {
  async function atRestAgain({ client, server, quiet }: Stage) {
    await quiet();
    expect(client.stats()).toEqual(atRest);
    expect(server.stats()).toEqual(atRest);
    client.close();
    await quiet();
  }

  test("a stream of the caller's is read to its end", async () => {
    const stage = setUp(pairing);
    const { stream } = source(64, 16 * kib);
    expect(await callOn(stage.client.main, "upload", "file", stream)).toBe(64 * 16 * kib);
    await atRestAgain(stage);
  });

  test("a stream of the caller's that fails, fails where it is read", async () => {
    const stage = setUp(pairing);
    const { stream } = source(2, kib, new Error("disk"));
    await expect(Promise.resolve(callOn(stage.client.main, "upload", "file", stream))).rejects.toThrow();
    expect(stage.work.errors).toHaveLength(1);
    await atRestAgain(stage);
  });

  test("a stream of the caller's that is not read to its end is cancelled", async () => {
    const stage = setUp(pairing);
    const { stream, told } = source(1_000, kib);
    expect(await callOn(stage.client.main, "first", stream)).toBe(kib);
    await stage.quiet();
    expect(told.cancelled).toBe(1);
    expect(told.given).toBeLessThan(1_000);
    await atRestAgain(stage);
  });

  test("a stream that nobody reads is asked for no more than a window", async () => {
    const stage = setUp(pairing);
    const { stream, told } = source(100, 16 * kib);
    const call = callOn(stage.client.main, "hold", stream);
    const done = Promise.resolve(call);
    await stage.quiet();
    expect(told.given * 16 * kib).toBeLessThanOrEqual(256 * kib + 2 * 16 * kib);
    stage.work.held.resolve();
    await done;
    await atRestAgain(stage);
  });

  test("the callee writes to a stream of the caller's, and closes it", async () => {
    const stage = setUp(pairing);
    const { stream, told } = sink();
    expect(await callOn(stage.client.main, "download", 512 * kib, stream)).toBe("written");
    expect(told).toEqual({ bytes: 512 * kib, end: "closed" });
    await atRestAgain(stage);
  });

  test("the callee writes no faster than the caller takes", async () => {
    const stage = setUp(pairing);
    const takes = Promise.withResolvers<void>();
    const { stream, told } = sink(takes.promise);
    const call = Promise.resolve(callOn(stage.client.main, "download", 2_048 * kib, stream));
    await stage.quiet();
    expect(told.bytes).toBe(0);
    expect(stage.work.written).toBeLessThanOrEqual(256 * kib + 16 * kib);
    takes.resolve();
    await call;
    expect(told).toEqual({ bytes: 2_048 * kib, end: "closed" });
    await atRestAgain(stage);
  });
});

describe("between two of ours", () => {
  const pairing = pairingsWith(newestStock).at(-1)!;

  test("a stream that is longer than the contract lets it be fails there, and nothing else", async () => {
    const { client, work } = setUp(pairing);
    const { stream } = source(1_000, 16 * kib);
    const refused = { code: "resource_exhausted", reason: "stream_too_large" };
    await expect(Promise.resolve(callOn(client.main, "upload", "file", stream))).rejects.toMatchObject(refused);
    expect(work.errors).toHaveLength(1);
    expect(await callOn(client.main, "upload", "file", source(1, kib).stream)).toBe(kib);
    client.close();
  });

  test("chunks are cut, so that each is within what an edge takes", async () => {
    const { client, work } = setUp(pairing);
    expect(await callOn(client.main, "upload", "file", source(1, 2 * kib * kib).stream)).toBe(2 * kib * kib);
    expect(work.chunkMax).toBe(64 * kib);
    client.close();
  });

  test("a source that gives anything but bytes fails where it is read", async () => {
    const stage = setUp(pairing);
    const texts = new ReadableStream({
      pull: (controller) => controller.enqueue("text"),
    });
    await expect(Promise.resolve(callOn(stage.client.main, "upload", "file", texts))).rejects.toMatchObject({
      reason: "stream_ended",
    });
    await stage.quiet();
    expect([stage.client.stats(), stage.server.stats()]).toEqual([atRest, atRest]);
    stage.client.close();
  });

  test("the source of a call that cannot be sent is cancelled, though it has nothing to give", async () => {
    const stage = setUp(pairing);
    let cancelled = 0;
    const idle = new ReadableStream({
      cancel() {
        cancelled += 1;
      },
    });
    const call = Promise.resolve(callOn(stage.client.main, "upload", idle, new Map()));
    await expect(call).rejects.toMatchObject({ code: "invalid_argument" });
    await stage.quiet();
    expect(cancelled).toBe(1);
    expect([stage.client.stats(), stage.server.stats()]).toEqual([atRest, atRest]);
    stage.client.close();
  });

  test("a close under way when the method returns is not aborted, not at a stock client either", async () => {
    const [stockToOurs] = pairingsWith(newestStock).filter(({ name }) => name === "stock 0.12 to ours");
    for (const each of [pairing, stockToOurs!]) {
      const { client, quiet } = setUp(each);
      const { stream, told } = sink(turns(8));
      expect(await callOn(client.main, "hurry", stream)).toBe("gone");
      await turns(20);
      await quiet();
      expect(told).toEqual({ bytes: 1, end: "closed" });
      client.close();
    }
  });

  test("what the method leaves open is aborted when it returns", async () => {
    const { client, quiet } = setUp(pairing);
    const { stream, told } = sink();
    expect(await callOn(client.main, "drop", stream)).toBe("dropped");
    await quiet();
    expect(told).toEqual({ bytes: 1, end: "aborted" });
    client.close();
  });

  test("the streams of a session that is over fail at both ends", async () => {
    const stage = setUp(pairing);
    const { stream, told } = source(1_000, kib);
    const call = Promise.resolve(callOn(stage.client.main, "hold", stream));
    await stage.quiet();
    stage.client.close();
    await expect(call).rejects.toMatchObject({ code: "unavailable" });
    stage.work.held.resolve();
    await stage.quiet();
    expect(told.cancelled).toBe(1);
  });

  test.each<[string, unknown[]]>([
    ["where data belongs", [new ReadableStream(), new ReadableStream()]],
    ["of the other kind", ["file", new WritableStream()]],
    ["within data", ["file", { in: new ReadableStream() }]],
  ])("a stream %s is not offered", async (_, args) => {
    const stage = setUp(pairing);
    await expect(Promise.resolve(callOn(stage.client.main, "upload", ...args))).rejects.toMatchObject({
      code: "unimplemented",
    });
    await stage.quiet();
    expect(stage.client.stats()).toEqual(atRest);
    stage.client.close();
  });

  test("a stream that is locked is not sent", async () => {
    const { client } = setUp(pairing);
    const { stream } = source(1, kib);
    stream.getReader();
    await expect(Promise.resolve(callOn(client.main, "upload", "file", stream))).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("locked"),
    });
    client.close();
  });
});

describe("a peer that writes its messages itself", () => {
  const write = (bytes: number) => [
    "stream",
    ["pipeline", 1, ["write"], [["bytes", Buffer.alloc(bytes).toString("base64").replace(/=+$/, "")]]],
  ];

  test("may leave so many bytes unread in a session, and no more", async () => {
    const work = new Work();
    const peer = makeRawPeer({
      limits: { ...edgeLimits, streamBytesMax: 4 * kib },
      makeMain: () => expose(StoreContract, work as never, { peer: anonymous }),
    });
    await peer.say(["pipe"], ["push", ["pipeline", 0, ["hold"], [["readable", 1]]]], ["pull", 2]);
    await peer.say(write(3 * kib), write(2 * kib));
    expect(peer.answerTo(4)).toEqual(rejection(4, { code: "resource_exhausted", reason: "stream_overrun" }));
    expect(peer.answerTo(3)).toEqual(rejection(3, { reason: "stream_overrun" }));
    work.held.resolve();
    await peer.clock.settle();
    await peer.say(["release", 1, 1], ["release", 2, 1]);
    expect(peer.session.stats()).toEqual(atRest);
  });

  test("whose chunk nobody reads in time loses its stream, and no bytes of the session's", async () => {
    const work = new Work();
    const peer = makeRawPeer({
      limits: { ...edgeLimits, streamBytesMax: 4 * kib },
      makeMain: () => expose(StoreContract, work as never, { peer: anonymous }),
    });
    await peer.say(["pipe"], write(4 * kib));
    await peer.clock.advance(30_000);
    expect(peer.answerTo(2)).toEqual(rejection(2, { code: "deadline_exceeded" }));
    await peer.say(["push", ["pipeline", 0, ["upload"], ["file", ["readable", 1]]]], ["pull", 3]);
    expect(peer.answerTo(3)).toEqual(rejection(3, { code: "deadline_exceeded" }));
    expect(work.errors).toHaveLength(1);
    const others = ["stream", ["pipeline", 4, ["write"], write(4 * kib)[1]![3] as unknown[]]];
    await peer.say(["pipe"], others, ["push", ["pipeline", 0, ["first"], [["readable", 4]]]], ["pull", 6]);
    expect(peer.answerTo(6)).toEqual(["resolve", 6, 4 * kib]);
    peer.cut();
  });

  test("writes no more into our stream than waits to be taken", async () => {
    const peer = makeRawPeer({ limits: { ...edgeLimits, streamBytesMax: 4 * kib } });
    const { stream } = sink(Promise.withResolvers<void>().promise);
    const main = peer.session.remoteMain as unknown as { take(to: WritableStream): Promise<unknown> };
    Promise.resolve(main.take(stream)).catch(() => {});
    await peer.clock.settle();
    const ours = (bytes: number) => ["stream", ["import", -1, ["write"], write(bytes)[1]![3] as unknown[]]];
    await peer.say(ours(3 * kib), ours(2 * kib));
    expect(peer.answerTo(1)).toBeUndefined();
    expect(peer.answerTo(2)).toEqual(rejection(2, { reason: "stream_overrun" }));
    peer.cut();
  });

  test("has one reader for its pipe, and writes bytes alone", async () => {
    const work = new Work();
    const peer = makeRawPeer({ makeMain: () => expose(StoreContract, work as never, { peer: anonymous }) });
    const hold = ["push", ["pipeline", 0, ["hold"], [["readable", 1]]]];
    await peer.say(["pipe"], hold, hold, ["pull", 3], ["stream", ["pipeline", 1, ["write"], ["text"]]]);
    expect(peer.answerTo(3)).toEqual(rejection(3, { code: "unimplemented" }));
    expect(peer.answerTo(4)).toEqual(rejection(4, { code: "invalid_argument" }));
    await peer.say(["stream", ["pipeline", 1, ["read"], []]]);
    expect(peer.answerTo(5)).toEqual(rejection(5, { code: "unimplemented" }));
    peer.cut();
  });

  test("gets no pipe in a batch, where nothing comes after it", async () => {
    const peer = makeRawPeer({ framing: "batch" });
    await peer.say(["pipe"], ["pull", 1]);
    expect(peer.answerTo(1)).toEqual(rejection(1, { code: "unimplemented" }));
    peer.cut();
  });

  test("writes to a stream under way while the service stops", async () => {
    const work = new Work();
    const peer = makeRawPeer({ makeMain: () => expose(StoreContract, work as never, { peer: anonymous }) });
    await peer.say(["pipe"], ["push", ["pipeline", 0, ["upload"], ["file", ["readable", 1]]]], ["pull", 2]);
    const drained = peer.session.drain();
    await peer.say(write(3), ["stream", ["pipeline", 1, ["close"], []]]);
    expect(peer.answerTo(2)).toEqual(["resolve", 2, 0]);
    await drained;
    peer.cut();
  });
});
