import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { edgeLimits, type Limits, pingIntervalMs, pongMsMax } from "../base/limits.ts";
import { RpcTarget } from "../rpc/stub.ts";
import { openSession, type Session } from "../session/session.ts";
import { until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { chosenProtocol } from "./channel.ts";
import { makeWebSocketChannel } from "./websocket.ts";

/** Our end of a WebSocket, and the bare socket of whoever is at the other. */
interface Pair {
  readonly ours: WebSocket;
  readonly peer: WebSocket;
}

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function openPair(protocols: string[] = [], options: { autoPong?: boolean } = {}): Promise<Pair> {
  const server = new WebSocketServer({
    port: 0,
    host: "127.0.0.1",
    maxPayload: edgeLimits.frameBytesMax,
    handleProtocols: (offered) => chosenProtocol(offered) ?? false,
  });
  await once(server, "listening");
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const peer = new WebSocket(url, protocols, options);
  const [[ours]] = await Promise.all([once(server, "connection") as Promise<[WebSocket]>, once(peer, "open")]);
  ends.push(async () => {
    peer.terminate();
    ours.terminate();
    await until(() => server.clients.size === 0, "no socket is left");
    await new Promise((resolve) => server.close(resolve));
  });
  return { ours, peer };
}

class Main extends RpcTarget {
  greet() {
    return "hello";
  }
}

function openOurs({ ours }: Pair, clock: Clock, limits: Limits = edgeLimits): Session {
  return openSession(makeWebSocketChannel(ours, clock), { localMain: new Main(), clock, limits });
}

describe("which framing is spoken", () => {
  test.each([
    [[], "capnweb"],
    [["flotilla.v1"], "flotilla.v1"],
    [["capnweb.nl.v1", "flotilla.v1"], "flotilla.v1"],
    [["capnweb", "flotilla.v1"], "flotilla.v1"],
    [["capnweb"], "capnweb"],
  ])("with a peer that offers %j it is %s", async (offered, framing) => {
    const { ours, peer } = await openPair(offered);
    const clock = makeVirtualClock();
    expect([makeWebSocketChannel(ours, clock).framing, makeWebSocketChannel(peer, clock).framing]).toEqual([
      framing,
      framing,
    ]);
  });
});

describe("the heartbeat", () => {
  test("notices a peer that stopped answering within 7 s, and rejects what it was asked", async () => {
    const pair = await openPair();
    const clock = makeVirtualClock();
    const session = openOurs(pair, clock);
    pair.peer.pause();
    const call = (session.remoteMain as unknown as Main).greet();
    const failure = Promise.resolve(call).catch((error: unknown) => error);
    await clock.advance(pingIntervalMs + pongMsMax - 1);
    expect(pair.ours.readyState).toBe(WebSocket.OPEN);
    await clock.advance(1);
    expect(clock.monotonicMs()).toBeLessThan(7_000);
    expect(await session.closed).toMatchObject({ code: "unavailable", message: "The peer stopped answering" });
    expect(await failure).toMatchObject({ code: "unavailable" });
    expect(pair.ours.readyState).not.toBe(WebSocket.OPEN);
  });

  test("leaves a peer alone that answers, for as long as it does", async () => {
    const pair = await openPair();
    const clock = makeVirtualClock();
    openOurs(pair, clock);
    for (let beat = 0; beat < 5; beat += 1) {
      const pong = once(pair.ours, "pong");
      await clock.advance(pingIntervalMs);
      await pong;
    }
    expect(clock.monotonicMs()).toBe(5 * pingIntervalMs);
    expect(pair.ours.readyState).toBe(WebSocket.OPEN);
  });

  test("reads what has come before it cuts a peer: this process may have been the slow one", async () => {
    const pair = await openPair([], { autoPong: false });
    let nowMs = 0;
    const due: (() => void)[] = [];
    const clock: Clock = {
      ...makeVirtualClock(),
      monotonicMs: () => nowMs,
      after(_, run) {
        due.push(run);
        return () => {};
      },
    };
    openOurs(pair, clock);
    const ping = once(pair.peer, "ping");
    nowMs = pingIntervalMs;
    due.shift()?.();
    await ping;
    const pong = once(pair.ours, "pong");
    // In one timer: the answer arrives in the socket, unread, and time is up.
    setTimeout(() => {
      pair.peer.pong();
      nowMs = pingIntervalMs + pongMsMax;
      due.shift()?.();
    }, 0);
    await pong;
    await new Promise((resolve) => setImmediate(resolve));
    expect(pair.ours.readyState).toBe(WebSocket.OPEN);
  });

  test("takes whatever a peer says for a sign of life: its answer may stand behind much else", async () => {
    const pair = await openPair([], { autoPong: false });
    const clock = makeVirtualClock();
    makeWebSocketChannel(pair.ours, clock).listen({ frame: () => {}, closed: () => {} });
    for (let beat = 0; beat < 5; beat += 1) {
      await clock.advance(pingIntervalMs);
      const heard = once(pair.ours, "message");
      pair.peer.send("anything");
      await heard;
    }
    expect(pair.ours.readyState).toBe(WebSocket.OPEN);
    await clock.advance(pingIntervalMs + pongMsMax);
    expect(pair.ours.readyState).not.toBe(WebSocket.OPEN);
  });

  test("leaves a slow reader alone that cannot have heard the ping yet, for as long as it reads", async () => {
    const pair = await openPair();
    const clock = makeVirtualClock();
    openOurs(pair, clock);
    pair.ours.ping = () => {};
    let buffered = 4_000;
    Object.defineProperty(pair.ours, "bufferedAmount", { get: () => buffered });
    for (let beat = 0; beat < 3; beat += 1) {
      buffered -= 1_000;
      await clock.advance(pingIntervalMs + pongMsMax);
      expect(pair.ours.readyState).toBe(WebSocket.OPEN);
    }
    await clock.advance(pingIntervalMs + pongMsMax);
    expect(pair.ours.readyState).not.toBe(WebSocket.OPEN);
  });

  test("ends with the session: nothing is due any more", async () => {
    const pair = await openPair();
    const clock = makeVirtualClock();
    const session = openOurs(pair, clock);
    pair.peer.close();
    expect((await session.closed).code).toBe("unavailable");
    let pings = 0;
    pair.ours.ping = () => {
      pings += 1;
    };
    await clock.advance(60_000);
    expect(pings).toBe(0);
  });
});

describe("a session ends", () => {
  test("at a binary frame, which is no message", async () => {
    const pair = await openPair();
    const session = openOurs(pair, makeVirtualClock());
    const closing = once(pair.peer, "close") as Promise<[number]>;
    pair.peer.send(Buffer.from('["push",["pipeline",0,["greet"],[]]]'));
    expect(await session.closed).toMatchObject({ code: "invalid_argument", reason: "protocol_violation" });
    expect((await closing)[0]).toBe(1003);
  });

  test("at a frame above the limit, and the peer's socket says why", async () => {
    const pair = await openPair();
    const session = openOurs(pair, makeVirtualClock());
    const closing = once(pair.peer, "close") as Promise<[number]>;
    pair.peer.send("x".repeat(edgeLimits.frameBytesMax + 1));
    expect(await session.closed).toMatchObject({ code: "resource_exhausted", reason: "protocol_limit" });
    expect((await closing)[0]).toBe(1009);
  });

  test("with the reason `frame_too_large` at a peer that refused ours for its size", async () => {
    const { ours, peer } = await openPair();
    const session = openSession(makeWebSocketChannel(peer, makeVirtualClock()));
    ours.close(1009);
    expect(await session.closed).toMatchObject({ code: "unavailable", reason: "frame_too_large" });
  });

  test("when its peer does not read what it asked for, before much of it is buffered", async () => {
    const pair = await openPair();
    const limits = { ...edgeLimits, sendBufferBytesMax: 1024 * 1024 };
    const session = openOurs(pair, makeVirtualClock(), limits);
    pair.peer.pause();
    let isOver = false;
    let bufferedMax = 0;
    void session.closed.then(() => {
      isOver = true;
    });
    const main = session.remoteMain as unknown as { echo(text: string): Promise<string> };
    const failures: unknown[] = [];
    const text = "x".repeat(200_000);
    // What the operating system takes is not ours to bound: it is more than the limit, and differs between machines.
    for (let call = 0; call < 500 && !isOver; call += 1) {
      Promise.resolve(main.echo(text)).catch((error: unknown) => failures.push(error));
      await new Promise((resolve) => setImmediate(resolve));
      bufferedMax = Math.max(bufferedMax, pair.ours.bufferedAmount);
    }
    await session.closed;
    expect(bufferedMax).toBeLessThanOrEqual(limits.sendBufferBytesMax);
    await until(() => failures.length > 0, "the calls rejected");
    expect(failures[0]).toMatchObject({ code: "resource_exhausted", reason: "slow_reader" });
  });

  test("within a second when its peer does not answer the close", async () => {
    const pair = await openPair();
    const clock = makeVirtualClock();
    const channel = makeWebSocketChannel(pair.ours, clock);
    channel.listen({ frame() {}, closed() {} });
    pair.peer.pause();
    channel.close(1001, "stopping");
    channel.close(1001, "stopping");
    await clock.advance(999);
    expect(pair.ours.readyState).toBe(WebSocket.CLOSING);
    await clock.advance(1);
    await until(() => pair.ours.readyState === WebSocket.CLOSED, "it is closed");
  });

  test("without a word more: what is sent after is dropped", async () => {
    const pair = await openPair();
    const session = openOurs(pair, makeVirtualClock());
    const heard: string[] = [];
    pair.peer.on("message", (data) => heard.push(String(data)));
    const closing = once(pair.peer, "close") as Promise<[number, Buffer]>;
    session.close(new FlotillaError("unavailable", "Stopping"));
    const late = Promise.resolve((session.remoteMain as unknown as Main).greet());
    await expect(late).rejects.toMatchObject({ code: "unavailable" });
    const [code, reason] = await closing;
    expect([code, String(reason), heard]).toEqual([1001, "unavailable", []]);
  });
});
