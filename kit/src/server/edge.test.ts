import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { edgeLimits } from "../base/limits.ts";
import type { Peer } from "../base/peer.ts";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { ask } from "../testing/http.ts";
import { openRawSocket } from "../testing/raw-socket.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";

const add = '["push",["pipeline",0,["add"],[1,2]]]\n["pull",1]';
const shop = "https://shop.example";

const openSocket = async (rig: Rig, url: string) => (await openRawSocket(rig, url)).socket;

test("who comes by the listener is known by network, and whether for one request; no header says so", async () => {
  await using rig = makeRig();
  const peers: Peer[] = [];
  const desk = makeDesk();
  const main = (peer: Peer) => {
    peers.push(peer);
    return desk.mainFor(peer);
  };
  const { url } = await rig.serve({ main });
  await openSocket(rig, url);
  await ask(`${url}/rpc/batch`, { headers: { "x-forwarded-for": "192.0.2.1", forwarded: "for=192.0.2.1" }, body: add });
  expect(peers).toEqual([
    { kind: "anonymous", network: "127.0.0.1", isBatch: false },
    { kind: "anonymous", network: "127.0.0.1", isBatch: true },
  ]);
});

describe("answers to browsers", () => {
  test("are not to be kept, shown, framed, guessed at or run, whatever was asked", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor });
    const answers = [
      await ask(`${url}/healthz`, { method: "GET" }),
      await ask(`${url}/nowhere`, { method: "GET" }),
      await ask(`${url}/rpc/batch`, { body: add }),
      await ask(`${url}/rpc/batch`, { body: "{" }),
      await ask(`${url}/rpc/batch`, { method: "OPTIONS" }),
    ];
    for (const { headers } of answers) {
      expect(headers).toMatchObject({
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
      });
      expect(headers).not.toHaveProperty("access-control-allow-origin");
      expect(headers).not.toHaveProperty("access-control-allow-credentials");
    }
  });

  test("may be read by the pages that are listed, and by no other", async () => {
    await using rig = makeRig();
    const { url } = await rig.serve({ main: makeDesk().mainFor, origins: [shop] });
    const preflight = await ask(`${url}/rpc/batch`, { method: "OPTIONS", headers: { origin: shop } });
    expect(preflight).toMatchObject({ status: 204, headers: { "access-control-allow-origin": shop, vary: "origin" } });
    expect(preflight.headers["access-control-allow-headers"]).toContain("content-type");
    const answer = await ask(`${url}/rpc/batch`, { headers: { origin: shop }, body: add });
    expect(answer).toMatchObject({ status: 200, headers: { "access-control-allow-origin": shop } });
    for (const origin of ["https://evil.example", "null", `${shop}.evil.example`]) {
      const refused = await ask(`${url}/rpc/batch`, { method: "OPTIONS", headers: { origin } });
      expect(Object.keys(refused.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
  });
});

describe("one address", () => {
  test("has so many sessions and batches at once, and gets their places back", async () => {
    await using rig = makeRig();
    const edge = { ...edgeLimits, sessionsPerAddressMax: 2 };
    const { url, stats } = await rig.serve({ main: makeDesk().mainFor, edge });
    const first = await openSocket(rig, url);
    const second = await openSocket(rig, url);
    expect(stats().sessions).toBe(2);
    expect((await openSocket(rig, url)).readyState).toBe(WebSocket.CLOSED);
    const refused = await ask(`${url}/rpc/batch`, { headers: { "x-forwarded-for": "198.51.100.7" }, body: add });
    expect([refused.status, JSON.parse(refused.text)]).toMatchObject([
      429,
      { code: "resource_exhausted", reason: "session_limit" },
    ]);
    first.close();
    second.close();
    await until(() => stats().sessions === 0, "the sessions closed");
    for (let round = 0; round < 5; round += 1) {
      expect((await ask(`${url}/rpc/batch`, { body: add })).status).toBe(200);
    }
    expect((await openSocket(rig, url)).readyState).toBe(WebSocket.OPEN);
  });
});

describe("a session", () => {
  test("that says nothing for an hour is closed, and one that speaks is not", async () => {
    await using rig = makeRig();
    const clock = makeVirtualClock();
    const edge = { ...edgeLimits, sessionAgeMsMax: 10 * edgeLimits.sessionIdleMsMax };
    const { url, stats } = await rig.serve({ main: makeDesk(clock).mainFor, edge, clock });
    const silent = await openSocket(rig, url);
    const silentClosed = once(silent, "close");
    const speaking = await openSocket(rig, url);
    // Both answer pings, as every WebSocket does: that is not speaking.
    for (let quarter = 1; quarter <= 4; quarter += 1) {
      const answered = once(speaking, "message");
      speaking.send('["push",["pipeline",0,["add"],[1,2]]]');
      speaking.send(`["pull",${quarter}]`);
      await answered;
      await clock.advance(edgeLimits.sessionIdleMsMax / 4);
    }
    expect((await silentClosed)[0]).toBe(1001);
    expect(speaking.readyState).toBe(WebSocket.OPEN);
    expect(stats().sessions).toBe(1);
  });

  test("that holds as many capabilities as it may is refused one more, by itself, until it releases one", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const { url } = await rig.serve({ main: desk.mainFor, edge: { ...edgeLimits, capabilitiesMax: 3 } });
    const { main } = rig.connect<Desk>({ url });
    const tickets = await Promise.all([1, 2, 3].map((number) => main.take(number)));
    const refused = Promise.resolve(main.take(4));
    await expect(refused).rejects.toMatchObject({
      code: "resource_exhausted",
      reason: "capability_limit",
      message: "A session holds at most 3 capabilities; release some first",
    });
    // The refused ticket is not kept either: the session exports itself and three tickets.
    expect(desk.live()).toBe(4);
    await expect(main.add(1, 2)).resolves.toBe(3);
    await expect(tickets[2]!.getNumber()).resolves.toBe(3);
    using neighbour = await rig.connect<Desk>({ url }).main.take(5);
    await expect(neighbour.getNumber()).resolves.toBe(5);
    tickets.pop()![Symbol.dispose]();
    using again = await main.take(4);
    await expect(again.getNumber()).resolves.toBe(4);
    for (const ticket of tickets) ticket[Symbol.dispose]();
  });

  test("that floods is ended, and its neighbour is not", async () => {
    await using rig = makeRig();
    const edge = { ...edgeLimits, messagesPerSecondMax: 50 };
    const { url } = await rig.serve({ main: makeDesk().mainFor, edge });
    const neighbour = await openSocket(rig, url);
    const flooding = await openSocket(rig, url);
    const closed = once(flooding, "close");
    const heard: string[] = [];
    flooding.on("message", (data) => heard.push(String(data)));
    for (let i = 0; i < 100; i += 1) flooding.send('["push",["pipeline",0,["add"],[1,2]]]');
    expect((await closed)[0]).toBe(1008);
    expect(heard.join("")).toContain("resource_exhausted");
    const answered = once(neighbour, "message");
    neighbour.send('["push",["pipeline",0,["add"],[1,2]]]');
    neighbour.send('["pull",1]');
    expect(String((await answered)[0])).toBe('["resolve",1,3]');
  });
});
