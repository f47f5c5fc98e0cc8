import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { newWebSocketRpcSession, nodeHttpBatchRpcResponse, RpcTarget as StockTarget } from "capnweb";
import { describe, expect, test } from "vitest";
import { type ServerOptions, WebSocketServer } from "ws";
import { connect as connectPage } from "../browser/connect.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import { openBatch } from "./batch-client.ts";
import type { Connection } from "./reconnect.ts";

interface Shelf extends RpcTarget {
  add(a: number, b: number): number;
  open(): Drawer;
}
interface Drawer extends RpcTarget {
  count(): number;
}

class StockDrawer extends StockTarget {
  count() {
    return 3;
  }
}

class StockShelf extends StockTarget {
  add(a: number, b: number) {
    return a + b;
  }

  open() {
    return new StockDrawer();
  }
}

/** A server that knows nothing of ours, written with `ws` and capnweb. `chosen` are its subprotocols. */
async function serveStock(rig: Rig, options: ServerOptions = {}) {
  const http = createServer((request, response) => void nodeHttpBatchRpcResponse(request, response, new StockShelf()));
  const server = new WebSocketServer({ server: http, ...options });
  const chosen: string[] = [];
  server.on("connection", (socket) => {
    chosen.push(socket.protocol);
    newWebSocketRpcSession(socket as unknown as WebSocket, new StockShelf());
  });
  return { url: await listen(rig, http, server), chosen };
}

/** @returns where it can be reached, until the rig ends. */
async function listen(rig: Rig, http: Server, server: WebSocketServer): Promise<string> {
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  rig.onEnd(async () => {
    for (const socket of server.clients) socket.terminate();
    server.close();
    await new Promise((resolve) => http.close(resolve));
  });
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

const servers: [string, ServerOptions, string][] = [
  ["takes whatever is offered first", {}, "capnweb"],
  ["chooses no subprotocol", { handleProtocols: () => false }, ""],
];
const clients: [string, (rig: Rig, url: string) => Connection<Shelf>][] = [
  ["connect", (rig, url) => rig.connect<Shelf>({ url })],
  [
    "connect of a browser",
    (rig, url) => {
      const connection = connectPage<Shelf>({ name: "stock", url });
      rig.onEnd(() => connection.close());
      return connection;
    },
  ],
];

describe.each(servers)("a stock server that %s", (_, options, subprotocol) => {
  test.each(clients)("is called by %s, several times in one turn", async (_, makeClient) => {
    await using rig = makeRig();
    const { url, chosen } = await serveStock(rig, options);
    const shelf = makeClient(rig, url);
    // A browser does not tell why it refuses a server, so the attempt that succeeds may be the second.
    shelf.opened().catch(() => {});
    await until(() => shelf.isOpen, "it is connected");
    using drawer = shelf.main.open();
    const sums = [1, 2, 3].map((n) => shelf.main.add(n, n));
    expect(await Promise.all([...sums, drawer.count()].map(outcome))).toEqual([2, 4, 6, 3]);
    expect(await outcome(drawer.count())).toBe(3);
    expect(new Set(chosen)).toEqual(new Set([subprotocol]));
  });
});

test("a page whose first attempt failed offers our subprotocol again when its session has ended", async () => {
  await using rig = makeRig();
  const offers: boolean[] = [];
  const server = new WebSocketServer({ noServer: true, handleProtocols: () => "capnweb" });
  const http = createServer();
  http.on("upgrade", (request, socket, head) => {
    offers.push(request.headers["sec-websocket-protocol"] !== undefined);
    if (offers.length === 1) socket.destroy();
    else
      server.handleUpgrade(request, socket, head, (opened) =>
        newWebSocketRpcSession(opened as never, new StockShelf()),
      );
  });
  const shelf = connectPage<Shelf>({ name: "home", url: await listen(rig, http, server) });
  rig.onEnd(() => shelf.close());
  for (const sessionNumber of [1, 2]) {
    shelf.opened().catch(() => {});
    await until(() => shelf.isOpen && shelf.sessionNumber === sessionNumber, `session ${sessionNumber}`);
    for (const socket of server.clients) socket.terminate();
  }
  expect(offers).toEqual([true, false, true]);
});

test("a stock server is called by a batch", async () => {
  await using rig = makeRig();
  const { url } = await serveStock(rig);
  using batch = openBatch<Shelf>({ url });
  const { main } = batch;
  expect(await Promise.all([main.add(1, 2), main.open().count()].map(outcome))).toEqual([3, 3]);
});
