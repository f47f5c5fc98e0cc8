import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { systemClock } from "../base/clock.ts";
import { currentContext } from "../base/context.ts";
import type { Peer } from "../base/peer.ts";
import type { Connection } from "../client/connection.ts";
import { helloHeader, makeHelloGuard, replyHeader, replyTo, type Self, sayHello } from "../identity/hello.ts";
import { type Identity, openIdentity } from "../identity/identity.ts";
import { RpcTarget } from "../rpc/stub.ts";
import { type Desk, makeDesk, type TestDesk } from "../testing/desk.ts";
import { ask, sendRaw, upgradeRequest } from "../testing/http.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import type { Server } from "./serve.ts";

const peerUnproven = { code: "unavailable", reason: "peer_unproven" };
const add = '["push",["pipeline",0,["add"],[1,2]]]\n["pull",1]';

interface Bench extends AsyncDisposable {
  readonly rig: Rig;
  readonly desk: TestDesk;
  readonly peers: Peer[];
  identity(name: string): Identity;
  /** A key that nobody of this bench knows. */
  forgedIdentity(name: string): Identity;
  serveDesk(options?: { identity?: Identity | undefined; instance?: string; port?: number }): Promise<Server>;
  connectAs(identity: Identity | undefined, server: { url: string }): Connection<Desk>;
}

function setUp(): Bench {
  const rig = makeRig();
  const desk = makeDesk();
  const peers: Peer[] = [];
  const directory = mkdtempSync(join(tmpdir(), "flotilla-keys-"));
  const identity = (name: string) => openIdentity(join(directory, "ours"), name);
  return {
    rig,
    desk,
    peers,
    identity,
    forgedIdentity: (name) => ({
      ...identity(name),
      privateKey: openIdentity(join(directory, "theirs"), name).privateKey,
    }),
    serveDesk: (options = {}) =>
      rig.serve({
        name: "home",
        identity: identity("home"),
        main(peer) {
          peers.push(peer);
          return peer.kind === "service" ? desk.mainFor(peer) : undefined;
        },
        ...options,
      }),
    connectAs: (own, { url }) => rig.connect<Desk>({ url, as: own && { identity: own, instance: "orders-instance0" } }),
    async [Symbol.asyncDispose]() {
      rmSync(directory, { recursive: true });
      await rig[Symbol.asyncDispose]();
      expect(desk.live()).toBe(0);
    },
  };
}

describe("two services", () => {
  test.each(["home-instance-01", "home-instance-0123456789"])(
    "that prove their keys open a session, and each knows who the other is: %s",
    async (instance) => {
      await using bench = setUp();
      const server = await bench.serveDesk({ instance });
      const connection = bench.connectAs(bench.identity("orders"), server);
      expect(await connection.main.add(1, 2)).toBe(3);
      expect(connection.instance).toBe(instance);
      expect(bench.peers).toEqual([{ kind: "service", name: "orders", instance: "orders-instance0" }]);
    },
  );

  test("see another instance after a restart, and none while there is none", async () => {
    await using bench = setUp();
    const server = await bench.serveDesk({ instance: "home-instance-01" });
    const connection = bench.connectAs(bench.identity("orders"), server);
    await connection.opened();
    await server.drain();
    await until(() => !connection.isOpen, "away");
    expect(connection.instance).toBeUndefined();
    await bench.serveDesk({ instance: "home-instance-02", port: Number(new URL(server.url).port) });
    await until(() => connection.isOpen, "open again");
    expect(connection.instance).toBe("home-instance-02");
  });

  test("name each other in the chain of callers by the key, and an outside client's claim is dropped", async () => {
    await using bench = setUp();
    const seen: unknown[] = [];
    class Mirror extends RpcTarget {
      look() {
        seen.push(currentContext()?.callers);
      }
    }
    const server = await bench.rig.serve({ identity: bench.identity("home"), main: () => new Mirror() });
    const as = { identity: bench.identity("orders"), instance: "orders-instance0" };
    await bench.rig.connect<Mirror>({ url: server.url, as }).main.look();
    await bench.rig.connect<Mirror>({ url: server.url }).main.look();
    expect(seen).toEqual([["orders"], []]);
  });
});

describe("a client is refused with the same answer, and calls nothing,", () => {
  const refused =
    /^HTTP\/1.1 401 unauthenticated, peer_unproven\r\n.*"message":"The service did not prove who it is","reason":"peer_unproven","retryable":false,"requestId":"[0-9a-f]{32}"}\n$/s;

  test("when it has another key, when nobody knows it, when it means another service, and when it repeats a hello", async () => {
    await using bench = setUp();
    const server = await bench.serveDesk();
    const orders: Self = { identity: bench.identity("orders"), instance: "orders-instance0", clock: systemClock };
    const upgrade = (hello: string) => sendRaw(server.url, upgradeRequest({ headers: [`${helloHeader}: ${hello}`] }));
    const valid = sayHello(orders, "home").header;
    expect((await ask(`${server.url}/rpc/batch`, { headers: { [helloHeader]: valid }, body: add })).status).toBe(200);
    const bad = [
      sayHello({ ...orders, identity: bench.forgedIdentity("orders") }, "home").header,
      sayHello({ ...orders, identity: { ...orders.identity, name: "mallory" } }, "home").header,
      sayHello(orders, "users").header,
      valid,
      "garbage",
      "",
      "x".repeat(5_000),
      `${sayHello(orders, "home").header}, ${sayHello(orders, "home").header}`,
    ];
    for (const hello of bad) {
      expect(await upgrade(hello)).toMatch(refused);
      const answer = await ask(`${server.url}/rpc/batch`, { headers: { [helloHeader]: hello }, body: add });
      expect([answer.status, JSON.parse(answer.text).code]).toEqual([401, "unauthenticated"]);
    }
    expect(bench.peers).toHaveLength(1);
    expect(bench.desk.calls).toEqual(["add"]);
  });

  test("when it is anonymous; its connection says that the peer is away", async () => {
    await using bench = setUp();
    const connection = bench.connectAs(undefined, await bench.serveDesk());
    await expect(outcome(connection.main.add(1, 2))).rejects.toMatchObject({ code: "unavailable" });
    expect(bench.peers).toEqual([{ kind: "anonymous", network: "127.0.0.1", isBatch: false }]);
  });
});

describe("a false service gets no frame at all, and callers `unavailable`,", () => {
  type Reply = (hello: string, bench: Bench) => string | undefined;
  const replies: Record<string, Reply> = {
    "when it does not reply": () => undefined,
    "when it replies garbage": () => "garbage",
    "when it sends the hello back": (hello) => hello,
    "when it signs with a key of its own": (hello, bench) => answer(hello, bench, bench.forgedIdentity("home")),
    "when it signs as the other service that it is": (hello, bench) => answer(hello, bench, bench.identity("users")),
  };

  /** The reply of a service with `identity`, which takes the hello though it was meant for home. */
  function answer(hello: string, bench: Bench, identity: Identity): string {
    const home = { identity: bench.identity("home"), instance: "home-instance-00", clock: systemClock };
    return replyTo(makeHelloGuard(home).accept(hello), { ...home, identity });
  }

  for (const [what, reply] of Object.entries(replies)) {
    test(what, async () => {
      await using bench = setUp();
      await using impostor = await serveFalsely((hello) => reply(hello, bench));
      const connection = bench.connectAs(bench.identity("orders"), impostor);
      await expect(outcome(connection.main.add(1, 2))).rejects.toMatchObject(peerUnproven);
      await expect(outcome(connection.main.add(1, 2))).rejects.toMatchObject(peerUnproven);
      await until(() => impostor.open() === 0, "the connection cut");
      expect([connection.isOpen, connection.instance, impostor.received]).toEqual([false, undefined, []]);
      connection.close();
    });
  }

  test("when it is one of ours without an identity, which takes us for anybody", async () => {
    await using bench = setUp();
    const server = await bench.rig.serve({ main: bench.desk.mainFor });
    const connection = bench.connectAs(bench.identity("orders"), server);
    await expect(outcome(connection.main.add(1, 2))).rejects.toMatchObject(peerUnproven);
    await until(() => server.stats().sessions === 0 && bench.desk.live() === 0, "the session gone");
    expect(bench.desk.calls).toEqual([]);
    connection.close();
  });

  interface Impostor extends AsyncDisposable {
    readonly url: string;
    readonly received: string[];
    open(): number;
  }

  async function serveFalsely(reply: (hello: string) => string | undefined): Promise<Impostor> {
    const received: string[] = [];
    const http = createServer();
    const sockets = new WebSocketServer({ server: http });
    sockets.on("headers", (headers, request) => {
      const text = reply(String(request.headers[helloHeader]));
      if (text !== undefined) headers.push(`${replyHeader}: ${text}`);
    });
    sockets.on("connection", (socket: WebSocket) => {
      socket.on("message", (data) => received.push(String(data)));
      socket.on("error", () => {});
      // It tries to be called by answering what nobody asked.
      socket.send('["push",["pipeline",0,["hang"],[]]]');
    });
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    return {
      url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
      received,
      open: () => sockets.clients.size,
      async [Symbol.asyncDispose]() {
        for (const client of sockets.clients) client.terminate();
        http.close();
        http.closeAllConnections();
        await once(http, "close");
      },
    };
  }
});
