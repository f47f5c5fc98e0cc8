import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { type Gate, meterSocket } from "./metered-socket.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** Two ends of a TCP connection; `ours` isn't read yet. */
async function openPair(): Promise<{ ours: Socket; theirs: Socket }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const theirs = connectTcp((server.address() as AddressInfo).port, "127.0.0.1");
  const [ours] = (await once(server, "connection")) as [Socket];
  ends.push(
    () => new Promise((resolve) => server.close(resolve)),
    () => theirs.destroy(),
    () => ours.destroy(),
  );
  return { ours, theirs };
}

/** Lets through `left` slices. */
function makeCountingGate(left: number): Gate & { left: number; slices: number[] } {
  return {
    left,
    slices: [],
    mayPass() {
      this.left -= 1;
      return this.left >= 0;
    },
    passes(bytes) {
      this.slices.push(bytes);
    },
  };
}

const sent = Buffer.from(Array.from({ length: 2_000_000 }, (_, i) => (i * 7) % 256));

test("no more is parsed than the gate lets pass, and no more is read than one piece beyond it", async () => {
  const { ours, theirs } = await openPair();
  const gate = makeCountingGate(3);
  const metered = meterSocket(ours, gate);
  const received: Buffer[] = [];
  ours.on("data", (slice: Buffer) => received.push(slice));
  theirs.end(sent);
  await until(() => gate.left < 0, "the gate closed");
  expect(received.map(({ length }) => length)).toEqual(gate.slices);
  expect(received).toHaveLength(3);
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(ours.bytesRead).toBeLessThanOrEqual(64 * 1024);
  expect(metered.next()).toBe(true);
  expect(received).toHaveLength(4);
});

test("everything arrives in order, and its end after it, whoever pauses the stream meanwhile", async () => {
  const { ours, theirs } = await openPair();
  const gate = makeCountingGate(Number.POSITIVE_INFINITY);
  meterSocket(ours, gate);
  const received: Buffer[] = [];
  ours.on("data", (slice: Buffer) => {
    received.push(slice);
    if (received.length % 100 !== 0) return;
    ours.pause();
    setImmediate(() => ours.resume());
  });
  theirs.end(sent);
  await once(ours, "end");
  expect(Buffer.concat(received).equals(sent)).toBe(true);
  expect(Math.max(...gate.slices)).toBeLessThanOrEqual(2_048);
});

test("an opened meter passes on what it held, and is off", async () => {
  const { ours, theirs } = await openPair();
  const { push, _read: read } = ours;
  const metered = meterSocket(ours, makeCountingGate(1));
  const received: Buffer[] = [];
  ours.on("data", (slice: Buffer) => received.push(slice));
  theirs.end(sent);
  await until(() => received.length === 1, "the first slice");
  metered.open();
  await once(ours, "end");
  expect(Buffer.concat(received).equals(sent)).toBe(true);
  expect([ours.push, ours._read]).toEqual([push, read]);
});

test("what was held of a connection that is gone is dropped", async () => {
  const { ours, theirs } = await openPair();
  const metered = meterSocket(ours, makeCountingGate(0));
  let received = 0;
  ours.on("data", () => {
    received += 1;
  });
  theirs.write(sent.subarray(0, 10_000));
  await until(() => ours.bytesRead > 0, "bytes read");
  ours.destroy();
  expect(metered.next()).toBe(false);
  expect(received).toBe(0);
});
