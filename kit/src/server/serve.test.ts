import { once } from "node:events";
import { connect } from "node:net";
import { newWebSocketRpcSession, type RpcStub, RpcTarget } from "capnweb";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { stockVersions } from "../../../tests/stock-versions.ts";
import type { FlotillaError } from "../base/errors.ts";
import { edgeLimits } from "../base/limits.ts";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { ask, sendRaw, upgradeRequest } from "../testing/http.ts";
import { makeRig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { offeredProtocols } from "../transport/channel.ts";
import { serve } from "./serve.ts";

const wsUrl = (url: string) => `${url.replace("http", "ws")}/rpc`;
const get = (url: string) => ask(url, { method: "GET" });
const add = '["push",["pipeline",0,["add"],[1,2]]]\n["pull",1]';

describe("a server", () => {
  test("says that it lives, and whether it is ready", async () => {
    await using rig = makeRig();
    let isReady = false;
    const { url } = await rig.serve({ main: makeDesk().mainFor, isReady: () => isReady });
    expect(await get(`${url}/healthz`)).toMatchObject({ status: 200, text: '{"status":"ok","service":"home"}\n' });
    expect(await get(`${url}/readyz`)).toMatchObject({ status: 503, text: '{"status":"starting","service":"home"}\n' });
    isReady = true;
    expect(await get(`${url}/readyz`)).toMatchObject({ status: 200, text: '{"status":"ready","service":"home"}\n' });
    expect(await ask(`${url}/readyz?verbose`, { method: "HEAD" })).toMatchObject({ status: 200, text: "" });
    isReady = false;
    expect(await get(`${url}/readyz`)).toMatchObject({ status: 503, text: '{"status":"unready","service":"home"}\n' });
  });

  test("names what it waits for, whether it is ready or not", async () => {
    await using rig = makeRig();
    let isReady = true;
    let waitsFor: { name: string; forMs?: number }[] = [];
    const { url } = await rig.serve({
      main: makeDesk().mainFor,
      isReady: () => isReady,
      waitsFor: () => waitsFor,
    });
    const said = async () => JSON.parse((await get(`${url}/readyz`)).text) as unknown;
    expect(await said()).toEqual({ status: "ready", service: "home" });
    waitsFor = [{ name: "prices", forMs: 1_200 }, { name: "stock" }];
    expect(await said()).toEqual({ status: "ready", service: "home", waitsFor });
    isReady = false;
    expect(await said()).toEqual({ status: "unready", service: "home", waitsFor });
  });

  test("is not ready when the question throws, and goes on living", async () => {
    await using rig = makeRig();
    const hidden: FlotillaError[] = [];
    const { url } = await rig.serve({
      main: makeDesk().mainFor,
      isReady() {
        throw new Error("no database");
      },
      onHiddenError: (error) => hidden.push(error),
    });
    expect((await get(`${url}/readyz`)).status).toBe(503);
    expect((await get(`${url}/healthz`)).status).toBe(200);
    expect(hidden).toMatchObject([{ cause: { message: "no database" } }]);
  });

  test("names a run as others can say it, or does not start", async () => {
    await expect(serve({ name: "home", instance: "short", port: 0, main: () => undefined })).rejects.toThrow(
      "16 to 24 characters",
    );
  });

  test("goes by its clock, as do the boundaries that it serves, however old it is", async () => {
    await using rig = makeRig();
    const clock = makeVirtualClock();
    const { url } = await rig.serve({ clock, main: makeDesk().mainFor });
    for (const _ of [1, 2, 3]) {
      await clock.advance(20_000);
      expect((await ask(`${url}/rpc/batch`, { body: add })).text).toBe('["resolve",1,3]');
    }
  });

  test("answers other paths and other methods with a code", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const answers = [
      await get(`${url}/`),
      await get(`${url}/rpc/batch/../x`),
      await get(`${url}/rpc/batch`),
      await get(`${url}/rpc`),
      await ask(`${url}/healthz`, { method: "DELETE" }),
    ];
    expect(answers.map(({ status, text }) => [status, JSON.parse(text).code])).toEqual([
      [404, "not_found"],
      [404, "not_found"],
      [405, "unimplemented"],
      [426, "invalid_argument"],
      [405, "unimplemented"],
    ]);
  });

  test("answers a client that offers HTTP/2 with every request", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const { url } = await rig.serve({ main: desk.mainFor });
    const headers = { connection: "Upgrade, HTTP2-Settings", upgrade: "h2c", "http2-settings": "AAEAAEAAAAIAAAAB" };
    expect(await ask(`${url}/rpc/batch`, { headers, body: add })).toMatchObject({
      status: 200,
      text: '["resolve",1,3]',
    });
    await until(() => desk.live() === 0, "the desk disposed");
  });

  test("refuses the port of another program by name", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const port = Number(new URL(url).port);
    await expect(rig.serve({ main: makeDesk().mainFor, port })).rejects.toMatchObject({
      code: "unavailable",
      reason: "port_in_use",
      message: `Port ${port} is in use by another program`,
    });
    await expect(rig.serve({ main: makeDesk().mainFor, host: "192.0.2.1" })).rejects.toMatchObject({
      reason: "cannot_listen",
    });
  });

  test("outlives an error of its socket", async () => {
    await using rig = makeRig();
    const hidden: FlotillaError[] = [];
    const { url } = await rig.serve({
      main() {
        throw new Error("no database");
      },
      onHiddenError: (error) => hidden.push(error),
    });
    const answer = await ask(`${url}/rpc/batch`, { body: add });
    expect(answer).toMatchObject({ status: 500, text: expect.stringContaining('"message":"Internal error"') });
    const refused = await sendRaw(url, upgradeRequest());
    expect(refused).toMatch(/^HTTP\/1.1 500 internal\r\n/);
    expect(refused).not.toContain("database");
    expect(hidden).toHaveLength(2);
  });
});

describe("a WebSocket session", () => {
  test.each(stockVersions)("of a client of stock $version gets data and capabilities", async ({ stock }) => {
    await using rig = makeRig();
    const desk = makeDesk();
    const { url } = await rig.serve({ main: desk.mainFor });
    const main = stock.newWebSocketRpcSession<Desk>(wsUrl(url));
    using ticket = await main.take(4);
    expect([await main.add(1, 2), await ticket.getNumber(), await main.take(9).getNumber()]).toEqual([3, 4, 9]);
    main[Symbol.dispose]();
    await until(() => desk.live() === 0, "all disposed with the session");
  });

  test("of a client that offers a subprotocol we do not know is opened without one, as the RFC has it", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const server = await rig.serve({ main: desk.mainFor });
    const socket = new WebSocket(wsUrl(server.url), ["unheard.v9"]);
    const [error] = (await once(socket, "error")) as [Error];
    expect(error.message).toBe("Server sent no subprotocol");
    await until(() => server.stats().sessions === 0 && desk.live() === 0, "the session gone");
    const both = new WebSocket(wsUrl(server.url), ["unheard.v9", ...offeredProtocols]);
    await once(both, "open");
    expect(both.protocol).toBe("flotilla.v1");
    both.terminate();
    await until(() => server.stats().sessions === 0 && desk.live() === 0, "the session gone");
  });

  test("ends with 1003 for a binary frame, 1009 for one that is too large, 1008 for a violation", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const { url } = await rig.serve({ main: desk.mainFor });
    const endings: [number, string | Buffer][] = [
      [1003, Buffer.from([1, 2])],
      [1009, "x".repeat(256 * 1024 + 1)],
      [1008, "x"],
    ];
    for (const [expected, frame] of endings) {
      const socket = new WebSocket(wsUrl(url));
      await once(socket, "open");
      socket.send(frame);
      const [code] = (await once(socket, "close")) as [number];
      expect(code).toBe(expected);
    }
    await until(() => desk.live() === 0, "all disposed");
  });
});

describe("an upgrade that is refused", () => {
  test("on another path gets a code, and its socket is closed though the client keeps its side open", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const text = await sendRaw(url, upgradeRequest({ path: "/rpc/batch" }));
    expect(text).toMatch(/^HTTP\/1.1 404 not_found\r\n/);
    expect(JSON.parse(text.split("\r\n\r\n")[1] ?? "")).toMatchObject({ code: "not_found" });
  });

  test("because its address opens too many says when to come back, and how to name what happened, as a batch does", async () => {
    await using rig = makeRig();
    const edge = { ...edgeLimits, sessionsPerSecondMax: 1, sessionsBurstMax: 1 };
    const clock = makeVirtualClock();
    const { url } = await rig.serve({ main: makeDesk(clock).mainFor, clock, edge });
    expect((await ask(`${url}/rpc/batch`, { body: add })).status).toBe(200);
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    const traceparent = `00-${traceId}-b7ad6b7169203331-01`;
    const refusal = {
      code: "resource_exhausted",
      reason: "session_rate",
      retryable: true,
      retryAfterMs: 1_000,
      requestId: traceId,
    };
    const text = await sendRaw(url, upgradeRequest({ headers: [`traceparent: ${traceparent}`] }));
    expect(text).toMatch(
      /^HTTP\/1.1 429 resource_exhausted, session_rate, try again in 1000 ms\r\n.*\r\nretry-after: 1\r\n/s,
    );
    expect(JSON.parse(text.split("\r\n\r\n")[1] ?? "")).toMatchObject(refusal);
    const answer = await ask(`${url}/rpc/batch`, { headers: { traceparent }, body: add });
    expect([answer.status, answer.headers["retry-after"]]).toEqual([429, "1"]);
    expect(JSON.parse(answer.text)).toMatchObject(refusal);
    // A stock client shows the status line and nothing else.
    for (const { stock } of stockVersions) {
      const desk = stock.newHttpBatchRpcSession<Desk>(`${url}/rpc/batch`);
      await expect(outcome(desk.add(1, 2))).rejects.toThrow(
        "RPC request failed: 429 resource_exhausted, session_rate, try again in 1000 ms",
      );
    }
  });

  test("does not keep the server from ending while its client keeps the socket", async () => {
    await using rig = makeRig();
    const server = await rig.serve({ main: makeDesk().mainFor });
    const socket = connect({ port: Number(new URL(server.url).port), host: "127.0.0.1", allowHalfOpen: true });
    const ended = once(socket, "end");
    socket.resume();
    socket.write(upgradeRequest({ path: "/" }));
    await ended;
    await server.drain();
    socket.destroy();
  });

  test("because its handshake is malformed leaves no main object behind", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const server = await rig.serve({ main: desk.mainFor });
    const malformed = [
      upgradeRequest({ key: "short" }),
      upgradeRequest().replace("version: 13", "version: 7"),
      upgradeRequest({ headers: ["sec-websocket-protocol: a,,b"] }),
      upgradeRequest().replace("GET", "POST"),
    ];
    for (const request of malformed) expect(await sendRaw(server.url, request)).toMatch(/^HTTP\/1.1 40[05] /);
    expect([desk.live(), server.stats().sessions]).toEqual([0, 0]);
  });

  test("of a web page that is not listed; a page that is listed and a program that is none are served", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const shop = "https://shop.example";
    const { url } = await rig.serve({ main: desk.mainFor, origins: [shop] });
    const strangers = [
      "https://evil.example",
      "null",
      "",
      `${shop}.evil.example`,
      "https://evil.shop.example",
      "http://shop.example",
    ];
    for (const origin of strangers) {
      const text = await sendRaw(url, upgradeRequest({ headers: [`origin: ${origin}`] }));
      expect(text).toMatch(/^HTTP\/1.1 403 permission_denied, origin_refused\r\n/);
      const answer = await ask(`${url}/rpc/batch`, { headers: { origin }, body: add });
      expect([answer.status, JSON.parse(answer.text).reason]).toEqual([403, "origin_refused"]);
    }
    expect(desk.calls).toEqual([]);
    const page = new WebSocket(wsUrl(url), { origin: shop });
    await once(page, "open");
    page.terminate();
    expect((await ask(`${url}/rpc/batch`, { headers: { origin: shop }, body: add })).status).toBe(200);
    expect((await ask(`${url}/rpc/batch`, { body: add })).status).toBe(200);
    await until(() => desk.live() === 0, "all disposed");
  });

  test("of anybody without a key, where main serves only services: 401, over WebSocket and batch, from loopback too", async () => {
    await using rig = makeRig();
    const main = (peer: { kind: string }) => (peer.kind === "service" ? new RpcTarget() : undefined);
    for (const host of ["127.0.0.1", "0.0.0.0", "::1"]) {
      const { url } = await rig.serve({ main, host });
      expect(await sendRaw(url, upgradeRequest())).toMatch(/^HTTP\/1.1 401 unauthenticated\r\n/);
      const answer = await ask(`${url}/rpc/batch`, { body: add });
      expect([answer.status, JSON.parse(answer.text).code]).toEqual([401, "unauthenticated"]);
    }
  });
});

describe("a client that trickles", () => {
  const requests = {
    nothing: "",
    "half a header": "GET /healthz HTTP/1.1\r\nhost:",
    "half a body": "POST /rpc/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n[",
    "half an upgrade": upgradeRequest().slice(0, -2),
  };
  for (const [what, bytes] of Object.entries(requests)) {
    test(`${what} is cut when its time is up`, async () => {
      await using rig = makeRig();
      const desk = makeDesk();
      const { url } = await rig.serve({ main: desk.mainFor, receiveMsMax: 60 });
      expect(await sendRaw(url, bytes)).toMatch(/^(HTTP\/1.1 408 |$)/);
      await until(() => desk.live() === 0, "what was made for it disposed");
    });
  }
});

test("a session that is opened and dropped 200 times leaves nothing behind", async () => {
  await using rig = makeRig();
  const desk = makeDesk();
  const server = await rig.serve({ main: desk.mainFor });
  for (let round = 0; round < 200; round += 1) {
    const main: RpcStub<Desk> = newWebSocketRpcSession<Desk>(wsUrl(server.url));
    const ticket = main.take(round);
    expect(await ticket.getNumber()).toBe(round);
    main[Symbol.dispose]();
  }
  await until(() => server.stats().sessions === 0 && desk.live() === 0, "all gone");
});
