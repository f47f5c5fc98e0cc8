import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { edgeLimits, intakeCosts, type Limits } from "../base/limits.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { makeIntakes } from "./intake.ts";
import { makeProxies } from "./proxies.ts";

/** Size of a slice; see metered-socket.ts. */
const sliceBytes = 2_048;

/** Connections from addresses that no test machine has, on a clock that stands still. */
function setUp(limits: Partial<Limits>, trustedProxies: string[] = []) {
  const clock = makeVirtualClock();
  let sleptMs = 0;
  const late = { ...clock, monotonicMs: () => clock.monotonicMs() + sleptMs };
  const intakes = makeIntakes({
    limits: { ...edgeLimits, ...limits },
    clock: late,
    proxies: makeProxies(trustedProxies),
  });
  let slices = 0;
  return {
    clock,
    /** Lets time pass without its alarms. */
    async sleepOver(ms: number) {
      sleptMs += ms;
      await nextTurn();
    },
    /** Slices that were passed on to the parsers of all connections. */
    slices: () => slices,
    accept(address: string, onSlice = (_socket: Socket) => {}): Socket {
      const socket = Object.defineProperty(new Socket(), "remoteAddress", { value: address });
      socket.on("data", () => {
        slices += 1;
        onSlice(socket);
      });
      intakes.accept(socket);
      return socket;
    },
    begin(socket: Socket, headers: Record<string, string> = {}) {
      return intakes.begin(socket, Object.assign(new IncomingMessage(socket), { headers }))!;
    },
  };
}

/** Addresses in sixteen networks. */
const wide = {
  "/56": Array.from({ length: 16 }, (_, n) => `2001:db8:1:20${n.toString(16)}::1`),
  "/48": Array.from({ length: 16 }, (_, n) => `2001:db8:1:${n.toString(16)}00::1`),
};

describe("a byte is charged as one of a body in chunks", () => {
  const us = 4_000;
  const bodies = [
    ["in the slice of the head and in all after it", { "transfer-encoding": "chunked" }, intakeCosts.chunkedByte],
    ["not when the length is known", { "content-length": "1000000" }, intakeCosts.byte],
  ] as const;
  test.each(bodies)("%s", async (_, headers, byteUs) => {
    const { accept, begin, clock, slices } = setUp({ readingBurstMsMax: us / 1_000 });
    const socket = accept("192.0.2.1", () => {
      if (slices() === 1) begin(socket, headers);
    });
    socket.push(Buffer.alloc(200 * sliceBytes));
    await clock.settle();
    // The last slice is passed on while anything is left.
    expect(slices()).toBe(
      Math.ceil((us - intakeCosts.connection - intakeCosts.request) / (intakeCosts.slice + byteUs * sliceBytes)),
    );
  });
});

test("a piece of one byte costs little less than a large one", async () => {
  const us = 4_000;
  const { accept, clock, slices } = setUp({ readingBurstMsMax: us / 1_000 });
  const socket = accept("192.0.2.1");
  for (let n = 0; n < 1_000; n += 1) socket.push(Buffer.alloc(1));
  await clock.settle();
  expect(slices()).toBe(Math.ceil((us - intakeCosts.connection) / (intakeCosts.slice + intakeCosts.byte)));
});

test("the sockets of an address are read in equal parts, whatever each has sent", async () => {
  const { accept, clock } = setUp({ readingMsPerSecondMax: 10, readingBurstMsMax: 1 });
  const read = [0, 0, 0, 0];
  for (const index of read.keys()) {
    const socket = accept("192.0.2.1", () => (read[index]! += 1));
    // Each piece that arrives asks for a turn.
    for (let n = 0; n < 10 * (index + 1); n += 1) socket.push(Buffer.alloc(100 * sliceBytes));
  }
  await clock.settle();
  // The first had the time that was saved.
  read.fill(0);
  await clock.advance(5_000);
  expect(Math.min(...read)).toBeGreaterThan(50);
  expect(Math.max(...read) - Math.min(...read)).toBeLessThanOrEqual(1);
});

test("a connection that has its turn while it asks for one is read once, and goes on", async () => {
  const { accept, clock, sleepOver } = setUp({ readingMsPerSecondMax: 10, readingBurstMsMax: 1 });
  accept("192.0.2.1").push(Buffer.alloc(100 * sliceBytes));
  // Its time is over, but the alarm that says so has not gone off.
  await sleepOver(100);
  let read = 0;
  const socket = accept("192.0.2.1", () => (read += 1));
  let isEnded = false;
  socket.on("end", () => (isEnded = true));
  socket.push(Buffer.alloc(1));
  await clock.settle();
  expect([read, isEnded]).toEqual([1, false]);
  socket.push(Buffer.alloc(1));
  await clock.advance(1_000);
  expect([read, isEnded]).toEqual([2, false]);
});

test("behind a trusted proxy a client with too many unread messages is refused until some have been read", async () => {
  const { accept, begin } = setUp({ unreadMessagesMax: 10 }, ["192.0.2.9"]);
  const proxy = accept("192.0.2.9");
  const headers = { "x-forwarded-for": "198.51.100.1" };
  const first = begin(proxy, headers);
  first.unread(10);
  expect(() => begin(proxy, headers)).toThrow(expect.objectContaining({ reason: "request_rate", retryAfterMs: 500 }));
  begin(proxy, { "x-forwarded-for": "198.51.100.2" });
  first.unread(-1);
  begin(proxy, headers);
});

describe.each(["/56", "/48"] as const)("the networks of a %s", (width) => {
  test("have so many connections together, and give their places back", async () => {
    const { accept, clock } = setUp({ connectionsPerAddressMax: 2, network56TimesMax: 3, network48TimesMax: 5 });
    const open = () =>
      wide[width].flatMap((address) => [accept(address), accept(address)]).filter(({ destroyed }) => !destroyed);
    const first = open();
    expect(first).toHaveLength(2 * { "/56": 3, "/48": 5 }[width]);
    expect(accept("2001:db8:2::1").destroyed).toBe(false);
    for (const socket of first.slice(0, 3)) socket.destroy();
    await clock.settle();
    expect(open()).toHaveLength(3);
  });

  test("are read for twice the time of one address", async () => {
    const limits = { readingMsPerSecondMax: 10, readingBurstMsMax: 1 };
    const read = async (addresses: readonly string[]) => {
      const { accept, clock, slices } = setUp(limits);
      for (const address of addresses) accept(address).push(Buffer.alloc(1_000 * sliceBytes));
      await clock.settle();
      const before = slices();
      await clock.advance(10_000);
      return slices() - before;
    };
    const alone = await read(wide[width].slice(0, 1));
    const together = await read(wide[width]);
    expect(alone).toBeGreaterThan(900);
    expect(Math.abs(together - 2 * alone)).toBeLessThan(wide[width].length);
  });

  test("have twice the unread messages of one address, and nothing of theirs is read beyond them", async () => {
    const { accept, begin, clock, slices } = setUp({ unreadMessagesMax: 10 });
    const intakes = wide[width].slice(0, 3).map((address) => begin(accept(address)));
    const isRead = async () => {
      const before = slices();
      accept(wide[width][3]!).push(Buffer.alloc(sliceBytes));
      await clock.settle();
      return slices() > before;
    };
    intakes[0]!.unread(9);
    intakes[1]!.unread(9);
    intakes[2]!.unread(1);
    expect(await isRead()).toBe(true);
    intakes[2]!.unread(1);
    expect(await isRead()).toBe(false);
    intakes[0]!.unread(-1);
    await clock.settle();
    expect(slices()).toBe(2);
  });
});
