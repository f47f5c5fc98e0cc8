import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Identity, openIdentity, type RpcStub, RpcTarget, serve } from "@flotilla/kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { Item } from "../../shop/contracts/orders.ts";
import type { ServiceName } from "../../shop/topology.ts";
import { batchClient, webSocketClient } from "../gateway-clients.ts";
import { type Processes, startProcesses, until } from "../process-harness.ts";

let shop: Processes;
let strangersDir: string;
beforeAll(async () => {
  // While a service is away some tests ask for it every few milliseconds, logging in each time.
  shop = await startProcesses({ env: { FLOTILLA_RATE_NETWORK: "1000000" } });
  strangersDir = mkdtempSync(join(tmpdir(), "flotilla-strangers-"));
});
afterAll(async () => {
  rmSync(strangersDir, { recursive: true, force: true });
  await shop[Symbol.asyncDispose]();
});

const password = "password";
const items: Item[] = [{ name: "Laptop", quantity: 1, price: 999.99 }];
const inside: readonly ServiceName[] = ["users", "orders"];
const instance = "0".repeat(16);

type Anything = RpcStub<RpcTarget & Record<string, (...args: unknown[]) => string>>;

/** The key of a service of this system, as only its own process has it. */
const keyOf = (name: string): Identity => openIdentity(join(shop.dataDir, "keys"), name);

/** What an upgrade is answered: 101, or the refusal with its body. */
async function upgrade(url: string, protocols: string[], headers: Record<string, string> = {}): Promise<Answer> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/rpc`, protocols, { headers });
  socket.on("error", () => {});
  return await new Promise((resolve) => {
    socket.once("open", () => {
      socket.terminate();
      resolve({ status: 101, body: "" });
    });
    socket.once("unexpected-response", (_request, response: IncomingMessage) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.once("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
  });
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** The hello with which `identity` would open a session with `name`, taken off the wire. */
async function helloOf(identity: Identity, name: string): Promise<Record<string, string>> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  using connection = connect({ name, url, as: { identity, instance } });
  connection.opened().catch(() => {});
  const [request, socket] = (await once(server, "upgrade")) as [IncomingMessage, { destroy(): void }];
  socket.destroy();
  server.close();
  const hello = request.headers["flotilla-hello"];
  if (typeof hello !== "string") throw new Error("no hello was said");
  return { "flotilla-hello": hello };
}

describe.each(inside)("%s, without a service's key,", (name) => {
  const refusal = { status: 401, body: expect.stringContaining('"code":"unauthenticated"') };

  test("refuses a stock WebSocket and one of the kit's", async () => {
    expect(await upgrade(shop.urls[name], [])).toEqual(refusal);
    expect(await upgrade(shop.urls[name], ["flotilla.v1"])).toEqual(refusal);
  });

  test("refuses a batch, whatever is in it", async () => {
    for (const body of ["", '["push",["pipeline",0,["listUsers"],[]]]\n["pull",1]']) {
      const response = await fetch(`${shop.urls[name]}/rpc/batch`, { method: "POST", body });
      expect(response.status).toBe(401);
      expect(JSON.parse(await response.text())).toEqual({
        code: "unauthenticated",
        message: expect.any(String),
        retryable: false,
        requestId: expect.stringMatching(/^[0-9a-f]{32}$/),
      });
    }
  });

  test("refuses a key that is not of this system, under a name that is", async () => {
    for (const claimed of ["gateway", "orders", "users", "payments"]) {
      const hello = await helloOf(openIdentity(strangersDir, claimed), name);
      expect(await upgrade(shop.urls[name], ["flotilla.v1"], hello)).toEqual(refusal);
      const response = await fetch(`${shop.urls[name]}/rpc/batch`, { method: "POST", headers: hello });
      expect(response.status).toBe(401);
    }
  });

  test("refuses a hello that was said before, or to somebody else, or is none", async () => {
    const hello = await helloOf(keyOf("gateway"), name);
    expect((await upgrade(shop.urls[name], ["flotilla.v1"], hello)).status).toBe(101);
    expect(await upgrade(shop.urls[name], ["flotilla.v1"], hello)).toEqual(refusal);
    const other = await helloOf(keyOf("gateway"), name === "users" ? "orders" : "users");
    expect(await upgrade(shop.urls[name], ["flotilla.v1"], other)).toEqual(refusal);
    for (const nonsense of ["", ".", "x.y", "A".repeat(5_000)]) {
      expect(await upgrade(shop.urls[name], ["flotilla.v1"], { "flotilla-hello": nonsense })).toEqual(refusal);
    }
  });
});

describe("a service of the house in a role that is not its own", () => {
  test("finds no method at users that takes a token or names a user, when it is orders", async () => {
    const as = { identity: keyOf("orders"), instance };
    using users = connect({ name: "users", url: shop.urls.users, as });
    await users.opened();
    const main = users.main as unknown as Anything;
    const unimplemented = { code: "unimplemented" };
    await expect(Promise.resolve(main.getUserByToken?.("token"))).rejects.toMatchObject(unimplemented);
    await expect(Promise.resolve(main.authenticate?.("bob", password))).rejects.toMatchObject(unimplemented);
    await expect(Promise.resolve(main.getUser?.("user1"))).rejects.toMatchObject(unimplemented);
    await expect(Promise.resolve(main.listUsers?.())).rejects.toMatchObject(unimplemented);
  });

  test("is served nothing by orders, when it is users", async () => {
    const hello = await helloOf(keyOf("users"), "orders");
    expect(await upgrade(shop.urls.orders, ["flotilla.v1"], hello)).toEqual({
      status: 403,
      body: expect.stringContaining('"code":"permission_denied"'),
    });
  });
});

/** Everything that anybody says to a false service. */
interface Overheard extends AsyncDisposable {
  readonly hellos: string[];
  readonly frames: string[];
}

/** Takes every connection and proves nothing. */
async function mute(port: number): Promise<Overheard> {
  const heard = { hellos: [] as string[], frames: [] as string[] };
  const http = createServer((request, response) => {
    request.on("data", (chunk: Buffer) => heard.frames.push(chunk.toString()));
    response.writeHead(200).end();
  });
  const server = new WebSocketServer({ server: http, handleProtocols: (offered) => [...offered][0] ?? false });
  server.on("connection", (socket, request) => {
    const [payload = ""] = String(request.headers["flotilla-hello"]).split(".");
    heard.hellos.push(Buffer.from(payload, "base64url").toString());
    socket.on("message", (data) => heard.frames.push(String(data)));
  });
  http.listen(port, "127.0.0.1");
  await once(http, "listening");
  const close = async () => {
    for (const socket of server.clients) socket.terminate();
    http.close();
    http.closeAllConnections();
    await once(http, "close");
  };
  return { ...heard, [Symbol.asyncDispose]: close };
}

/** Speaks our own protocol, knows everybody's public key, and signs with a key of its own as `users`. */
async function pretender(port: number): Promise<Overheard> {
  const heard = { hellos: [] as string[], frames: [] as string[] };
  const known = readFileSync(join(shop.dataDir, "keys", "trusted-keys"), "utf8").split("\n");
  const others = known.filter((line) => /^trust (gateway|orders) /.test(line));
  writeFileSync(join(strangersDir, "trusted-keys"), `${others.join("\n")}\n`);
  const server = await serve({
    name: "users",
    instance,
    identity: openIdentity(strangersDir, "users"),
    port,
    main(peer) {
      heard.hellos.push(peer.kind === "service" ? peer.name : peer.kind);
      return new RpcTarget();
    },
    onFrame: (_, direction, frame) => {
      if (direction === "in") heard.frames.push(frame);
    },
  });
  return { ...heard, [Symbol.asyncDispose]: () => server.drain(0) };
}

describe("a false User Service on the port of the real one", () => {
  test.each([
    ["that proves nothing", mute],
    ["that signs with a key of its own", pretender],
  ])("%s hears neither a call nor a secret from gateway or orders", async (_, start) => {
    using client = webSocketClient(shop.urls.gateway);
    const { token } = await client.login("bob", password);
    await client.createOrder(token, items);
    await shop.kill("users");
    const port = Number(new URL(shop.urls.users).port);
    {
      await using heard = await start(port);
      const isAway = { code: "unavailable" };
      await until(async () => {
        await expect(client.login("bob", password)).rejects.toMatchObject(isAway);
        await expect(client.getUserProfile(token)).rejects.toMatchObject(isAway);
        await expect(client.createOrder(token, items)).rejects.toMatchObject(isAway);
        return ["gateway", "orders"].every((name) => heard.hellos.join().includes(name));
      }, "both have dialled the false service");
      expect(heard.frames).toEqual([]);
      for (const secret of [token, password]) expect(heard.hellos.join()).not.toContain(secret);
    }
    await shop.start("users");
    await shop.ready();
    await until(() => client.createOrder(token, items).then(Boolean, () => false), "the shop works again");
  });
});

test("the gateway's clients need no key", async () => {
  using client = batchClient(shop.urls.gateway);
  expect(await client.login("bob", password)).toMatchObject({ userId: "user2" });
  expect((await upgrade(shop.urls.gateway, ["flotilla.v1"])).status).toBe(101);
});
