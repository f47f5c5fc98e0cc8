import { once } from "node:events";
import { connect } from "node:net";
import { newWebSocketRpcSession, type RpcStub, RpcTarget } from "capnweb";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { FlotillaError } from "../base/errors.ts";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { ask, sendRaw } from "../testing/http.ts";
import { makeRig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { subprotocol } from "../transport/websocket.ts";

const wsUrl = (url: string) => `${url.replace("http", "ws")}/rpc`;
const get = (url: string) => ask(url, { method: "GET" });
const add = '["push",["pipeline",0,["add"],[1,2]]]\n["pull",1]';

/** The upgrade of a browser or a stock client, as it is on the wire. */
function upgradeRequest({ path = "/rpc", headers = [] as string[], key = "dGhlIHNhbXBsZSBub25jZQ==" } = {}): string {
  const all = [
    `GET ${path} HTTP/1.1`,
    "host: x",
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    `sec-websocket-key: ${key}`,
    ...headers,
  ];
  return `${all.join("\r\n")}\r\n\r\n`;
}

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
      [405, "unimplemented"],
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
  test("of a stock client gets data and capabilities", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const { url } = await rig.serve({ main: desk.mainFor });
    const main = newWebSocketRpcSession<Desk>(wsUrl(url));
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
    const both = new WebSocket(wsUrl(server.url), ["unheard.v9", subprotocol]);
    await once(both, "open");
    expect(both.protocol).toBe(subprotocol);
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
      expect(text).toMatch(/^HTTP\/1.1 403 permission_denied\r\n/);
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

describe("a server that drains", () => {
  test("answers the calls that are under way, refuses new ones, says 1001 and is gone", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const server = await rig.serve({ main: desk.mainFor });
    const ours = rig.connect<Desk>({ url: server.url });
    const stock = newWebSocketRpcSession<Desk>(wsUrl(server.url));
    let code = 0;
    const bare = new WebSocket(wsUrl(server.url));
    bare.on("close", (closeCode) => {
      code = closeCode;
    });
    await Promise.all([ours.opened(), once(bare, "open"), outcome(stock.add(1, 1))]);
    const hanging = [outcome(ours.main.hang()), outcome(stock.hang())];
    await until(() => desk.calls.filter((name) => name === "hang").length === 2, "both hang");

    const drained = server.drain();
    await until(() => code === 1001, "the idle session is closed first");
    const refused = { code: "unavailable", message: "The service is stopping" };
    const { main } = ours;
    await expect(outcome(main.add(1, 2))).rejects.toMatchObject(refused);
    await expect(outcome(main.take(1).getNumber())).rejects.toMatchObject(refused);
    await expect(outcome(stock.add(1, 2))).rejects.toMatchObject(refused);
    expect(desk.calls.filter((name) => name !== "hang")).toEqual(["add"]);

    desk.answerAll();
    expect(await Promise.all(hanging)).toEqual(["answered", "answered"]);
    await drained;
    expect(desk.live()).toBe(0);
    await expect(get(`${server.url}/healthz`)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await expect(outcome(ours.main.add(1, 2))).rejects.toMatchObject({ code: "unavailable" });
    expect(await server.drain()).toBeUndefined();
  });

  test("answers the batch that is under way, and what comes after it on the same connection is refused", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const server = await rig.serve({ main: desk.mainFor });
    const body = '["push",["pipeline",0,["hang"],[]]]\n["pull",1]';
    const post = (text: string) =>
      `POST /rpc/batch HTTP/1.1\r\nhost: x\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    let text = "";
    socket.on("data", (part) => {
      text += String(part);
    });
    const ended = once(socket, "close");
    const hanging = desk.hanging();
    socket.write(post(body));
    await hanging;
    const drained = server.drain();
    const next = post(add) + post(add);
    await new Promise((resolve) => socket.write(next, resolve));
    // What was written to the loopback is read within a turn.
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    desk.answerAll();
    await ended;
    await drained;
    expect(text).toContain('["resolve",1,"answered"]');
    expect(text).toMatch(/HTTP\/1.1 503 .*"The service is stopping"/s);
    expect(desk.calls).toEqual(["hang"]);
    expect(desk.live()).toBe(0);
  });

  test("hands a large answer over whole before it closes the connection", async () => {
    await using rig = makeRig();
    const size = 4_000_000;
    const asked = Promise.withResolvers<void>();
    class Large extends RpcTarget {
      get() {
        asked.resolve();
        return "x".repeat(size);
      }
    }
    const server = await rig.serve({ main: () => new Large() });
    const answer = ask(`${server.url}/rpc/batch`, { body: '["push",["pipeline",0,["get"],[]]]\n["pull",1]' });
    await asked.promise;
    await server.drain();
    expect((await answer).text).toHaveLength(size + '["resolve",1,""]'.length);
  });

  test("does not wait for a batch that is still being sent", async () => {
    await using rig = makeRig();
    const clock = makeVirtualClock();
    const { url, drain } = await rig.serve({ main: makeDesk().mainFor, clock });
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    let text = "";
    socket.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    socket.write("POST /rpc/batch HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\nexpect: 100-continue\r\n\r\n[");
    await until(() => text.includes("100 Continue"), "the request");
    const closed = once(socket, "close");
    // The clock stands still: nothing that is waited for by time comes.
    await drain();
    await closed;
    expect(text).toContain("503");
    expect(text).toContain('"code":"unavailable"');
  });

  test("says that it drains to who asks on a connection that is still served", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const server = await rig.serve({ main: desk.mainFor });
    const hanging = desk.hanging();
    const body = '["push",["pipeline",0,["hang"],[]]]\n["pull",1]';
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    let text = "";
    socket.on("data", (part) => {
      text += String(part);
    });
    const ended = once(socket, "close");
    const post = `POST /rpc/batch HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    socket.write(post);
    await hanging;
    const drained = server.drain();
    await new Promise((resolve) => socket.write("GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n", resolve));
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    desk.answerAll();
    await Promise.all([ended, drained]);
    expect(text).toMatch(/HTTP\/1.1 503 .*{"status":"draining","service":"home"}/s);
  });

  test("cuts what hangs when the grace is over: `unavailable`, over WebSocket and batch", async () => {
    await using rig = makeRig();
    const clock = makeVirtualClock();
    const desk = makeDesk(clock);
    const server = await rig.serve({ main: desk.mainFor, clock });
    const { main } = rig.connect<Desk>({ url: server.url });
    const call = outcome(main.hang());
    const batch = ask(`${server.url}/rpc/batch`, { body: '["push",["pipeline",0,["hang"],[]]]\n["pull",1]' });
    await until(() => desk.calls.length === 2, "both hang");
    call.catch(() => {});
    const drained = server.drain(3_000);
    await clock.advance(2_999);
    expect(desk.live()).toBe(2);
    await clock.advance(1);
    await expect(call).rejects.toMatchObject({ code: "unavailable" });
    const { status, text } = await batch;
    expect([status, JSON.parse(text)]).toEqual([
      503,
      expect.objectContaining({ code: "unavailable", retryable: true }),
    ]);
    await drained;
    await until(() => desk.live() === 0, "all disposed");
    desk.answerAll();
  });

  test("does not wait for a peer that never takes its leave", async () => {
    await using rig = makeRig();
    const server = await rig.serve({ main: makeDesk().mainFor });
    const { hostname, port } = new URL(server.url);
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    socket.on("error", () => {});
    socket.write(upgradeRequest());
    await once(socket, "data");
    await server.drain();
    socket.destroy();
  });
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
