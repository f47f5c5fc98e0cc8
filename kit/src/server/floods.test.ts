import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { WebSocket } from "ws";
import type { FlotillaError } from "../base/errors.ts";
import { edgeLimits, type Limits } from "../base/limits.ts";
import { openIdentity } from "../identity/identity.ts";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { ask, upgradeRequest } from "../testing/http.ts";
import { openRawSocket } from "../testing/raw-socket.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { serveOps } from "./ops.ts";
import type { Server } from "./serve.ts";

/** Where floods come from; only Linux has it without being told, and elsewhere the neighbour shares its address. */
const localAddress = process.platform === "linux" ? "127.0.0.3" : undefined;
const add = '["push",["pipeline",0,["add"],[1,2]]]\n["pull",1]';

interface Bench {
  readonly server: Server;
  readonly refused: string[];
  readonly clock: ReturnType<typeof makeVirtualClock>;
  /** Frames of sessions that were read. */
  framesRead(): number;
  /** Opens a TCP connection; `text` is all that came back so far. */
  dial(bytes?: string): Promise<{ socket: Socket; closed: Promise<unknown>; text(): string }>;
  openSession(protocols?: string[]): Promise<WebSocket>;
  /** Asserts that a client at another address is served. */
  expectNeighbourServed(): Promise<void>;
}

/** A desk on a clock that stands still, so that a budget that was used up stays used up. */
async function setUp(rig: Rig, edge: Partial<Limits> = {}, trustedProxies: string[] = []): Promise<Bench> {
  const clock = makeVirtualClock();
  const refused: string[] = [];
  let framesRead = 0;
  const server = await rig.serve({
    main: makeDesk(clock).mainFor,
    clock,
    edge: { ...edgeLimits, ...edge },
    trustedProxies,
    onRefused: ({ code, reason }: FlotillaError) => refused.push(reason ?? code),
    onFrame: (_peer, direction) => {
      if (direction === "in") framesRead += 1;
    },
  });
  return {
    server,
    refused,
    clock,
    framesRead: () => framesRead,
    dial: (bytes) => dial(rig, server.url, bytes),
    async openSession(protocols = []) {
      return (await openRawSocket(rig, server.url, { protocols, localAddress })).socket;
    },
    async expectNeighbourServed() {
      if (localAddress) expect((await ask(`${server.url}/rpc/batch`, { body: add })).status).toBe(200);
    },
  };
}

async function dial(rig: Rig, url: string, bytes = "") {
  const { hostname, port } = new URL(url);
  const socket = connectTcp({ host: hostname, port: Number(port), localAddress });
  let text = "";
  socket.setEncoding("latin1").on("data", (part: string) => {
    text += part;
  });
  socket.on("error", () => {});
  rig.onEnd(() => socket.destroy());
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await new Promise((resolve) => socket.once("connect", resolve).once("close", resolve));
  socket.write(bytes);
  return { socket, closed, text: () => text };
}

const answersIn = (text: string) => text.split("HTTP/1.1 ").length - 1;

describe("pipelined requests", () => {
  const requests = {
    "GET /healthz": "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET /readyz": "GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n",
    "OPTIONS /rpc/batch": "OPTIONS /rpc/batch HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET /nowhere": "GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n",
    // node:http would answer these two by itself.
    "an unknown expectation": "GET /healthz HTTP/1.1\r\nhost: x\r\nexpect: x\r\n\r\n",
    "a request without a host": "GET /healthz HTTP/1.1\r\n\r\n",
  };
  for (const [what, request] of Object.entries(requests)) {
    test(`${what}: of 1,001 sent at once sixteen at most are answered, and the connection is cut`, async () => {
      await using rig = makeRig();
      const bench = await setUp(rig);
      const { closed, text } = await bench.dial(request.repeat(1_001));
      await closed;
      expect(answersIn(text())).toBeLessThanOrEqual(edgeLimits.pipelinedRequestsMax);
      expect(bench.refused).toContain("protocol_limit");
      await bench.expectNeighbourServed();
    });
  }

  test("are all answered when they are few, and as many again after that", async () => {
    await using rig = makeRig();
    const bench = await setUp(rig);
    const { socket, text } = await bench.dial();
    for (let round = 1; round <= 5; round += 1) {
      socket.write(requests["GET /healthz"].repeat(edgeLimits.pipelinedRequestsMax));
      await until(() => answersIn(text()) === round * edgeLimits.pipelinedRequestsMax, "the answers");
    }
    expect(bench.refused).toEqual([]);
  });

  test("are cut at the listener for operators too", async () => {
    await using rig = makeRig();
    const ops = await serveOps({ port: 0, checks: () => ({}), metrics: async () => "", metricsType: "text/plain" });
    rig.onEnd(() => ops.close());
    const { closed, text } = await dial(rig, ops.url, requests["GET /healthz"].repeat(1_001));
    await closed;
    expect(answersIn(text())).toBeLessThanOrEqual(edgeLimits.pipelinedRequestsMax);
    expect((await ask(`${ops.url}/metrics`, { method: "GET" })).status).toBe(200);
  });
});

test("a body that nothing reads ends its connection with the answer", async () => {
  await using rig = makeRig();
  const bench = await setUp(rig);
  for (const start of ["GET /healthz", "OPTIONS /rpc/batch"]) {
    const { closed, text } = await bench.dial(
      `${start} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx`,
    );
    await closed;
    expect(text()).toMatch(/^HTTP\/1.1 20[04] .*connection: close\r\n/is);
  }
});

test("an address that used up its time is not read on until it has time again, and others are served", async () => {
  await using rig = makeRig();
  const bench = await setUp(rig, { readingBurstMsMax: 5 });
  const socket = await bench.openSession(["flotilla.v1"]);
  const sent = 2_000;
  for (let i = 1; i <= sent; i += 1)
    socket.send('["push",["pipeline",0,["add"],[1,2]]]\n["release",1,1]'.replace("1,1]", `${i},1]`));
  await until(() => bench.framesRead() > 0, "the first frames read");
  await bench.expectNeighbourServed();
  await bench.clock.settle();
  const readFirst = bench.framesRead();
  expect(readFirst).toBeLessThan(500);
  await bench.clock.advance(100);
  expect(bench.framesRead()).toBeGreaterThan(readFirst + 500);
  await bench.clock.advance(1_000);
  await until(() => bench.framesRead() === sent, "all frames read");
});

test("an address has so many connections, whatever they are for, and gets their places back", async () => {
  await using rig = makeRig();
  const bench = await setUp(rig, { connectionsPerAddressMax: 2 });
  const [first] = [await bench.dial(), await bench.dial()];
  await (await bench.dial()).closed;
  expect(bench.refused).toEqual(["connection_limit"]);
  await bench.expectNeighbourServed();
  first.socket.destroy();
  await first.closed;
  let answer = "";
  while (answer === "") {
    const { closed, text } = await bench.dial("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    await closed;
    answer = text();
  }
  expect(answer).toMatch(/^HTTP\/1.1 200 /);
});

describe("a session", () => {
  test("is not read on while its address has messages that wait to be worked off", async () => {
    await using rig = makeRig();
    const bench = await setUp(rig, { unreadMessagesMax: 10, messagesPerTurnMax: 1 });
    const socket = await bench.openSession();
    for (let n = 1; n <= 200; n += 1) {
      socket.send('["push",["pipeline",0,["add"],[1,2]]]');
      socket.send(`["pull",${n}]`);
    }
    await until(() => bench.framesRead() > 10, "the first of them");
    await bench.expectNeighbourServed();
    expect(bench.framesRead()).toBeLessThan(400);
    await until(() => bench.framesRead() === 400, "all of them");
  });

  test("is not read on while messages of a batch from its address wait", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const edge = { ...edgeLimits, unreadMessagesMax: 10, messagesPerTurnMax: 1 };
    const { url } = await rig.serve({ main: desk.mainFor, edge });
    const { socket } = await openRawSocket(rig, url);
    const batched = ask(`${url}/rpc/batch`, {
      body: Array(100).fill('["push",["pipeline",0,["add"],[1,2]]]').join("\n"),
    });
    await until(() => desk.calls.includes("add"), "the batch begins");
    socket.send('["push",["pipeline",0,["hang"],[]]]');
    await until(() => desk.calls.includes("hang"), "the session is read");
    expect(desk.calls.indexOf("hang")).toBeGreaterThan(80);
    expect((await batched).status).toBe(200);
    desk.answerAll();
  });

  for (const kind of ["ping", "pong"] as const) {
    test(`that sends more ${kind}s than a heartbeat needs is closed with 1008`, async () => {
      await using rig = makeRig();
      const bench = await setUp(rig, { controlFramesBurstMax: 50 });
      const socket = await bench.openSession();
      for (let i = 0; i < 50; i += 1) socket[kind]();
      socket.send('["push",["pipeline",0,["add"],[1,2]]]');
      socket.send('["pull",1]');
      expect(String((await once(socket, "message"))[0])).toBe('["resolve",1,3]');
      socket[kind]();
      expect((await once(socket, "close"))[0]).toBe(1008);
      expect(bench.refused).toEqual(["protocol_limit"]);
      await bench.expectNeighbourServed();
    });
  }

  test("that sends a message in countless fragments is closed with 1008", async () => {
    await using rig = makeRig();
    const bench = await setUp(rig);
    const socket = await bench.openSession();
    for (let i = 0; i <= edgeLimits.fragmentsMax; i += 1) socket.send("", { fin: false });
    expect((await once(socket, "close"))[0]).toBe(1008);
    expect(bench.refused).toEqual(["protocol_limit"]);
    await bench.expectNeighbourServed();
  });

  test("that sends contexts without messages has them counted as messages, before any is read", async () => {
    await using rig = makeRig();
    const bench = await setUp(rig, { messagesPerSecondMax: 50 });
    const socket = await bench.openSession(["flotilla.v1"]);
    const context = `{"tp":"00-${"0af7".repeat(8)}-${"b7ad".repeat(4)}-01","ms":1000,"via":[]}`;
    socket.send(Array.from({ length: 50 }, () => context).join("\n"));
    socket.send(context);
    expect((await once(socket, "close"))[0]).toBe(1008);
    expect(bench.framesRead()).toBe(2);
    expect(bench.refused).toEqual(["protocol_limit"]);
    await bench.expectNeighbourServed();
  });
});

test("behind a trusted proxy each client has a budget of its own, and one beyond it is told when to come back", async () => {
  await using rig = makeRig();
  const bench = await setUp(rig, { readingBurstMsMax: 1 }, ["127.0.0.0/8"]);
  const from = (client: string) =>
    ask(`${bench.server.url}/healthz`, { method: "GET", headers: { "x-forwarded-for": client } });
  const statuses: number[] = [];
  for (let i = 0; i < 30; i += 1) statuses.push((await from("198.51.100.1")).status);
  expect(statuses.indexOf(429)).toBeGreaterThan(10);
  expect(statuses.slice(statuses.indexOf(429))).not.toContain(200);
  expect((await from("198.51.100.1")).headers["retry-after"]).toBe("1");
  expect((await from("198.51.100.2")).status).toBe(200);
  await bench.clock.advance(1_000);
  expect((await from("198.51.100.1")).status).toBe(200);
});

describe("hellos", () => {
  test("that prove nothing are refused before they are verified when they are many; services elsewhere connect", async () => {
    await using rig = makeRig();
    const { home, client, verified } = identities(rig);
    const edge = { ...edgeLimits, hellosBurstMax: 3, hellosPerSecondMax: 1 };
    const clock = makeVirtualClock(Date.now());
    const { url } = await rig.serve({ main: makeDesk(clock).mainFor, identity: home, edge, clock });
    const answers: string[] = [];
    for (let i = 0; i < 5; i += 1) {
      const { closed, text } = await dial(rig, url, upgradeRequest({ headers: [`flotilla-hello: ${forged(i)}`] }));
      await closed;
      answers.push(text().slice(9, 12));
    }
    expect(answers).toEqual(["401", "401", "401", "429", "429"]);
    expect(verified()).toBe(3);
    if (!localAddress) return;
    const link = rig.connect<Desk>({ url, as: { identity: client, instance: "client-instance0" } });
    expect(await link.main.add(1, 2)).toBe(3);
  });

  test("that prove a key don't count, however many there are", async () => {
    await using rig = makeRig();
    const { home, client } = identities(rig);
    const edge = { ...edgeLimits, hellosBurstMax: 1, hellosPerSecondMax: 1 };
    const { url } = await rig.serve({ main: makeDesk().mainFor, identity: home, edge });
    for (let i = 0; i < 5; i += 1) {
      const link = rig.connect<Desk>({ url, as: { identity: client, instance: "client-instance0" } });
      expect(await link.main.add(1, 2)).toBe(3);
    }
  });
});

test("a link is not metered once its service has proved its key", async () => {
  await using rig = makeRig();
  const { home, client } = identities(rig);
  const edge = { ...edgeLimits, readingBurstMsMax: 1 };
  const clock = makeVirtualClock(Date.now());
  const { url } = await rig.serve({ main: makeDesk(clock).mainFor, identity: home, edge, clock });
  const link = rig.connect<Desk>({ url, as: { identity: client, instance: "client-instance0" } });
  const sums = await Promise.all(Array.from({ length: 2_000 }, async (_, i) => await link.main.add(i, 1)));
  expect(sums.at(-1)).toBe(2_000);
});

/** Two services that know each other; `verified` counts the times that `home` looked up a key to verify by. */
function identities(rig: Rig) {
  const directory = mkdtempSync(join(tmpdir(), "flotilla-keys-"));
  rig.onEnd(() => rmSync(directory, { recursive: true }));
  const client = openIdentity(directory, "client");
  const home = openIdentity(directory, "home");
  let verified = 0;
  const counting = {
    ...home,
    publicKeysOf(name: string) {
      verified += 1;
      return home.publicKeysOf(name);
    },
  };
  return { home: counting, client, verified: () => verified };
}

/** A hello with everything in it but a signature. */
function forged(index: number): string {
  const statement = {
    from: "client",
    to: "home",
    instance: "client-instance0",
    nonce: `nonce-${index}`.padEnd(24, "0"),
    atMs: Date.now(),
  };
  return `${Buffer.from(JSON.stringify(statement)).toString("base64url")}.${Buffer.alloc(64).toString("base64url")}`;
}
