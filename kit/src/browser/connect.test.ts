import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { Type } from "typebox";
import { describe, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { withContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { answerMsMax, askIntervalMs, handshakeMsMax } from "../base/limits.ts";
import { expose } from "../capability/boundary.ts";
import { arg, contract } from "../capability/contract.ts";
import { overloadedReason } from "../resilience/turns.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { makeRelay } from "../testing/relay.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { type ConnectOptions, connect } from "./connect.ts";
import type { Connection } from "./index.ts";

/** Events of a page that happen when the test says so. */
function makeWakes() {
  const listeners = new Set<() => void>();
  return {
    listenForWakes(onWake: () => void) {
      listeners.add(onWake);
      return () => listeners.delete(onWake);
    },
    wake: () => listeners.forEach((listener) => void listener()),
    count: () => listeners.size,
  };
}

interface Sums extends RpcTarget {
  add(a: number, b: number): number;
}
const SumsContract = contract<Sums>("Sums", { add: { params: [arg("a", Type.Number()), arg("b", Type.Number())] } });

/** As a page connects, with Node's WebSocket, which is that of browsers. */
function page(rig: Rig, options: Partial<ConnectOptions> & Pick<ConnectOptions, "url">): Connection<Desk> {
  const connection = connect<Desk>({ name: "home", ...options });
  rig.onEnd(() => connection.close());
  return connection;
}

describe("a page's connection", () => {
  test("opens when it is first used, and tells where it is", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const heard: string[] = [];
    const connection = page(rig, { url, onStatus: (status, reason) => heard.push(`${status} ${reason?.code ?? ""}`) });
    expect([connection.isOpen, connection.isAnonymous, connection.sessionNumber]).toEqual([false, true, 0]);
    expect(await outcome(connection.main.add(1, 2))).toBe(3);
    using ticket = connection.main.take(7);
    expect(await outcome(ticket.getNumber())).toBe(7);
    connection.close();
    await expect(outcome(connection.main.add(1, 2))).rejects.toMatchObject({ code: "unavailable" });
    expect(heard).toEqual(["opening ", "open ", "closed unavailable"]);
  });

  test("holds calls back while the service refuses them for overload", async () => {
    await using rig = makeRig();
    let asked = 0;
    const add = () => {
      asked += 1;
      throw new FlotillaError("resource_exhausted", "Too much to do", { reason: overloadedReason, retryAfterMs: 500 });
    };
    const { url } = await rig.serve({ main: (peer) => expose(SumsContract, { add }, { peer }) });
    const connection = page(rig, { url, random: () => 0 });
    const heard: string[] = [];
    for (let n = 0; n < 10; n += 1) {
      const error = (await outcome(connection.main.add(1, 2)).catch((thrown: unknown) => thrown)) as FlotillaError;
      expect([error.code, error.reason]).toEqual(["resource_exhausted", overloadedReason]);
      heard.push(error.message);
    }
    // Whether the service is there counts as a question that it answered.
    expect(heard.filter((message) => message === "Too much to do")).toHaveLength(asked);
    expect(asked).toBeLessThanOrEqual(3);
    expect(heard.at(-1)).toBe("home is overloaded, and was not asked; try again later");
  });

  test("speaks the framing of ours: what is called in one turn leaves in one frame, with its context", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const frames: string[] = [];
    const connection = page(rig, { url, onFrame: (direction, frame) => direction === "out" && frames.push(frame) });
    await connection.opened();
    await until(() => frames.at(-1)?.startsWith('["release"') ?? false, "what opened it is over");
    const before = frames.length;
    const calls = withContext({ timeoutMs: 1_000 }, () => [connection.main.add(1, 1), connection.main.add(2, 2)]);
    expect(await Promise.all(calls)).toEqual([2, 4]);
    expect(frames[before]?.split("\n").filter((line) => line.startsWith('["call"'))).toHaveLength(2);
    expect(frames[before]).toMatch(/^\{"tp":"00-[0-9a-f]{32}-[0-9a-f]{16}-01","ms":(1000|[89]\d\d),"via":\[\]\}\n/);
  });

  test("sends no more in a call than an edge takes", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const connection = page(rig, { url });
    const tooLarge = connection.main.add("x".repeat(300_000) as unknown as number, 1);
    await expect(outcome(tooLarge)).rejects.toMatchObject({ reason: "message_too_large" });
    expect([await connection.main.add(1, 2), connection.sessionNumber]).toEqual([3, 1]);
  });

  test("rejects with coded errors, and ends a call at its deadline", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const clock = makeVirtualClock();
    const connection = page(rig, { url, clock });
    await expect(outcome(connection.main.add(1, "2" as unknown as number))).rejects.toMatchObject({
      code: "invalid_argument",
      message: "b must be number",
    });
    const late = withContext({ timeoutMs: 300 }, () => outcome(connection.main.hang()), clock);
    late.catch(() => {});
    await clock.advance(300);
    await expect(late).rejects.toMatchObject({ code: "deadline_exceeded" });
  });

  test("is back by itself when the service is, with another session", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const server = await rig.serve({ main: desk.mainFor });
    const connection = page(rig, { url: server.url, random: () => 0 });
    using ticket = await connection.main.take(7);
    await server.drain();
    await until(() => !connection.isOpen, "the session ended");
    await expect(outcome(connection.main.add(1, 2))).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/^home cannot be reached/),
    });
    await rig.serve({ main: desk.mainFor, port: Number(new URL(server.url).port) });
    await until(() => connection.isOpen, "another session");
    expect(connection.sessionNumber).toBe(2);
    expect(await outcome(connection.main.add(1, 2))).toBe(3);
    await expect(outcome(ticket.getNumber())).rejects.toMatchObject({ code: "unavailable" });
  });

  test("tries at once when the page wakes, and does not when it is closed", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const server = await rig.serve({ main: desk.mainFor });
    const clock = makeVirtualClock();
    const { listenForWakes, wake, count } = makeWakes();
    const connection = page(rig, { url: server.url, clock, listenForWakes });
    await connection.opened();
    await server.drain();
    await until(() => !connection.isOpen, "the session ended");
    await rig.serve({ main: desk.mainFor, port: Number(new URL(server.url).port) });
    // The clock stands still, so that no wait ends.
    expect(connection.isOpen).toBe(false);
    wake();
    wake();
    await until(() => connection.isOpen, "another session");
    expect([connection.sessionNumber, count()]).toEqual([2, 1]);
    connection.close();
    expect(count()).toBe(0);
  });

  test.each(["ftp://host", "unix:/run/home.sock", "http://host/?a=1", "http://host/#a", "home"])(
    "takes no %s",
    (url) => {
      expect(() => connect({ name: "home", url })).toThrow(TypeError);
    },
  );
});

describe("a service that no longer answers", () => {
  test("is noticed after a quiet time, a question and no answer", async () => {
    await using rig = makeRig();
    await using relay = await makeRelay((await rig.serve({ main: makeDesk().mainFor })).url);
    const clock = makeVirtualClock();
    const connection = page(rig, { url: relay.url, clock });
    await connection.opened();
    relay.freeze();
    await clock.advance(askIntervalMs + answerMsMax - 1);
    expect(connection.isOpen).toBe(true);
    await clock.advance(1);
    await until(() => !connection.isOpen, "the end of the session");
    relay.cut();
  });

  test("is asked at once when the page wakes", async () => {
    await using rig = makeRig();
    await using relay = await makeRelay((await rig.serve({ main: makeDesk().mainFor })).url);
    const clock = makeVirtualClock();
    const { listenForWakes, wake } = makeWakes();
    const connection = page(rig, { url: relay.url, clock, listenForWakes });
    await connection.opened();
    relay.freeze();
    wake();
    await clock.advance(answerMsMax);
    await until(() => !connection.isOpen, "the end of the session");
    relay.cut();
  });

  test("is told from one that is quiet: that one answers for as long as it is asked", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const clock = makeVirtualClock();
    const frames: string[] = [];
    const connection = page(rig, {
      url,
      clock,
      onFrame: (direction, frame) => direction === "in" && frames.push(frame),
    });
    await connection.opened();
    for (let question = 1; question <= 4; question += 1) {
      const before = frames.length;
      await clock.advance(askIntervalMs);
      await until(() => frames.length > before, "an answer");
      expect(frames.at(-1)).toContain('"unimplemented"');
      await clock.advance(answerMsMax);
    }
    expect([connection.isOpen, connection.sessionNumber]).toEqual([true, 1]);
    expect(connection.stats()).toEqual({ imports: 1, exports: 1 });
  });

  test("is not asked while it speaks", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const clock = makeVirtualClock();
    const sent: string[] = [];
    const connection = page(rig, {
      url,
      clock,
      onFrame: (direction, frame) => direction === "out" && sent.push(frame),
    });
    await connection.opened();
    const asked = () => sent.filter((frame) => frame.includes("flotilla:alive")).length;
    const before = asked();
    for (let call = 0; call < 5; call += 1) {
      await clock.advance(askIntervalMs - 1);
      expect(await outcome(connection.main.add(1, call))).toBe(1 + call);
    }
    expect(asked()).toBe(before);
  });

  test("never was one, for the connection, when it took the session and said nothing on it", async () => {
    await using rig = makeRig();
    const silent = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => "flotilla.v1" });
    await once(silent, "listening");
    rig.onEnd(() => new Promise((resolve) => silent.close(resolve)));
    const clock = makeVirtualClock();
    const heard: string[] = [];
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const connection = page(rig, { url, clock, onStatus: (status) => heard.push(status) });
    const call = outcome(connection.main.add(1, 2));
    call.catch(() => {});
    const [socket] = await once(silent, "connection");
    rig.onEnd(() => socket.terminate());
    await once(socket, "message");
    await clock.advance(Math.max(answerMsMax, handshakeMsMax));
    await expect(call).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("home") });
    expect(heard).toEqual(["opening", "away"]);
  });
});
