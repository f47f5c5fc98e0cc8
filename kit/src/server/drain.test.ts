import { once } from "node:events";
import { connect } from "node:net";
import { newWebSocketRpcSession, RpcTarget } from "capnweb";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { ask, upgradeRequest } from "../testing/http.ts";
import { makeRig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";

const wsUrl = (url: string) => `${url.replace("http", "ws")}/rpc`;
const add = '["push",["pipeline",0,["add"],[1,2]]]\n["pull",1]';

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
    await expect(ask(`${server.url}/healthz`, { method: "GET" })).rejects.toMatchObject({ code: "ECONNREFUSED" });
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
