import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer, type ServerResponse } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Peer } from "../base/peer.ts";
import { type Identity, openIdentity } from "../identity/identity.ts";
import { type Desk, makeDesk, type TestDesk } from "../testing/desk.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { type ConnectOptions, connect } from "./connect.ts";

interface Bench extends AsyncDisposable {
  readonly rig: Rig;
  readonly desk: TestDesk;
  identity(name: string): Identity;
  /** What a caller gets over a connection to `home` at `url`. */
  refusal(url: string, as?: ConnectOptions["as"]): Promise<unknown>;
}

function setUp(): Bench {
  const rig = makeRig();
  const desk = makeDesk();
  const directory = mkdtempSync(join(tmpdir(), "flotilla-keys-"));
  return {
    rig,
    desk,
    identity: (name) => openIdentity(directory, name),
    async refusal(url, as) {
      const connection = rig.connect<Desk>({ url, as });
      const error: unknown = await outcome(connection.main.add(1, 2)).catch((thrown: unknown) => thrown);
      await expect(connection.opened()).rejects.toBe(error);
      connection.close();
      return error;
    },
    async [Symbol.asyncDispose]() {
      rmSync(directory, { recursive: true });
      await rig[Symbol.asyncDispose]();
      expect(desk.calls).toEqual([]);
    },
  };
}

const away = (reason: string | undefined, why: string) => ({
  code: "unavailable",
  retryable: true,
  reason,
  message: `home cannot be reached: ${why}`,
});

describe("a caller is told why the peer cannot be reached,", () => {
  const toServices = (desk: TestDesk) => (peer: Peer) => (peer.kind === "service" ? desk.mainFor(peer) : undefined);

  test("when it serves services only, and when it refuses our hello", async () => {
    await using bench = setUp();
    const main = toServices(bench.desk);
    const { url } = await bench.rig.serve({ identity: bench.identity("home"), main });
    const onlyServices = "it serves only services that prove a key, so connect with `as` (HTTP 401, unauthenticated)";
    expect(await bench.refusal(url)).toMatchObject(away("unauthenticated", onlyServices));
    const stranger = { ...bench.identity("orders"), name: "stranger" };
    const refused =
      "it refused our hello: it is another service than home, or does not know our key (HTTP 401, unauthenticated, peer_unproven)";
    expect(await bench.refusal(url, { identity: stranger })).toMatchObject(away("unauthenticated", refused));
    const other = await bench.rig.serve({ name: "users", identity: bench.identity("users"), main });
    const as = { identity: bench.identity("orders") };
    expect(await bench.refusal(other.url, as)).toMatchObject(away("unauthenticated", refused));
  });

  test("when it grants us nothing", async () => {
    await using bench = setUp();
    const { url } = await bench.rig.serve({ identity: bench.identity("home"), main: () => undefined });
    const why = "it grants us nothing (HTTP 403, permission_denied)";
    const error = await bench.refusal(url, { identity: bench.identity("orders") });
    expect(error).toMatchObject(away("permission_denied", why));
  });

  test("when it has no sessions there", async () => {
    await using bench = setUp();
    const { url } = await bench.rig.serve({ main: bench.desk.mainFor });
    const why = "it has no session path there (HTTP 404, not_found)";
    expect(await bench.refusal(`${url}/elsewhere`)).toMatchObject(away("not_found", why));
  });

  test("when it has too many sessions", async () => {
    await using bench = setUp();
    await using refuser = await serveAnswer((response) => {
      response.writeHead(429).end('{"code":"resource_exhausted","message":"canary","reason":"session_limit"}');
    });
    const why = "it refused the session (HTTP 429, resource_exhausted, session_limit)";
    expect(await bench.refusal(refuser.url)).toMatchObject(away("resource_exhausted", why));
  });

  test("when somebody else answers at its address", async () => {
    await using bench = setUp();
    const nobody = await bench.rig.serve({ main: bench.desk.mainFor });
    const as = { identity: bench.identity("orders") };
    const nothing = "who answers at its address proves nothing: it serves without an identity";
    expect(await bench.refusal(nobody.url, as)).toMatchObject(away("peer_unproven", nothing));
    // It has the key of home when it reads the hello, and signs with another.
    const forged = { ...bench.identity("home"), privateKey: bench.identity("users").privateKey };
    const impostor = await bench.rig.serve({ identity: forged, main: bench.desk.mainFor });
    const another = "another service than home answers at its address, or one with another key";
    expect(await bench.refusal(impostor.url, as)).toMatchObject(away("peer_unproven", another));
    await until(() => bench.desk.live() === 0, "the sessions gone");
  });

  test("when nothing listens there, by number and by name", async () => {
    await using bench = setUp();
    const { url, drain } = await bench.rig.serve({ main: bench.desk.mainFor });
    await drain();
    const nothing = away("connection_refused", "nothing listens at its address");
    expect(await bench.refusal(url)).toMatchObject(nothing);
    expect(await bench.refusal(url.replace("127.0.0.1", "localhost"))).toMatchObject(nothing);
  });
});

describe("the answer of who refuses", () => {
  const bodies: Record<string, string> = {
    "is not JSON": "canary",
    "is no object": "null",
    "has no words": '{"code":7,"reason":{"canary":1}}',
    "has unknown words": '{"code":"canary","reason":"canary canary"}',
    "has a long word": `{"code":"__proto__","reason":"${"canary".repeat(20)}"}`,
    "is too long": `{"code":"not_found","reason":"gone","message":"${"canary".repeat(1_000)}"}`,
    "is empty": "",
  };
  for (const [what, body] of Object.entries(bodies)) {
    test(`says nothing but its status when it ${what}`, async () => {
      await using bench = setUp();
      await using refuser = await serveAnswer((response) => response.writeHead(418).end(body));
      const error = await bench.refusal(refuser.url);
      expect(error).toMatchObject(away("unexpected_answer", "it refused the session (HTTP 418)"));
      expect(JSON.stringify([error, (error as Error).stack])).not.toContain("canary");
    });
  }

  test("chooses no reason that callers match on: that is of the status, or one of the codes", async () => {
    await using bench = setUp();
    await using refuser = await serveAnswer((response) => {
      response.writeHead(401).end('{"code":"permission_denied","reason":"introduction_refused"}');
    });
    const error = await bench.refusal(refuser.url);
    expect(error).toMatchObject({ code: "unavailable", reason: "unauthenticated" });
  });

  test("is passed on where it says how long to wait and how to name what happened; what is no such thing is left out", async () => {
    await using bench = setUp();
    const said = { code: "resource_exhausted", reason: "session_rate", retryAfterMs: 250, requestId: "a".repeat(32) };
    await using refuser = await serveAnswer((response) => response.writeHead(429).end(JSON.stringify(said)));
    const { retryAfterMs, requestId } = said;
    expect(await bench.refusal(refuser.url)).toMatchObject({ reason: "resource_exhausted", retryAfterMs, requestId });
    await using liar = await serveAnswer((response) => {
      response.writeHead(429).end(JSON.stringify({ ...said, retryAfterMs: -1, requestId: "canary" }));
    });
    const error = await bench.refusal(liar.url);
    expect(error).toMatchObject({ reason: "resource_exhausted", retryAfterMs: undefined, requestId: undefined });
  });

  test("is waited for a second at most, and not at all by who closes", async () => {
    await using bench = setUp();
    await using refuser = await serveAnswer((response) => {
      response.writeHead(403, { "content-type": "application/json" });
      response.write('{"code":"permission_denied",');
    });
    const clock = makeVirtualClock();
    const waits: number[] = [];
    const after: typeof clock.after = (delayMs, run) => {
      waits.push(delayMs);
      return clock.after(delayMs, run);
    };
    const dial = () => bench.rig.connect<Desk>({ url: refuser.url, clock: { ...clock, after } });
    const patient = dial();
    const late = patient.opened();
    late.catch(() => {});
    await until(() => waits.includes(1_000), "the wait for the body");
    await clock.advance(1_000);
    await expect(late).rejects.toMatchObject(away("permission_denied", "it grants us nothing (HTTP 403)"));
    patient.close();

    const hasty = dial();
    const closed = hasty.opened();
    closed.catch(() => {});
    await until(() => waits.filter((ms) => ms === 1_000).length === 2, "the wait for the body");
    hasty.close();
    await expect(closed).rejects.toMatchObject({ message: "The connection to home was closed" });
    await until(() => refuser.open() === 0, "both connections cut");
  });

  test("may be cut off, or be none at all", async () => {
    await using bench = setUp();
    await using cutter = await serveAnswer((response) => {
      response.writeHead(404, { "content-length": 100 });
      response.write("{", () => response.destroy());
    });
    expect(await bench.refusal(cutter.url)).toMatchObject(away("not_found", "it has no session path there (HTTP 404)"));
    const silent = createServer((socket: Socket) => socket.destroy());
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    bench.rig.onEnd(() => new Promise((resolve) => silent.close(resolve)));
    expect(await bench.refusal(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`)).toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/^home cannot be reached/),
    });
  });
});

describe("connect", () => {
  test("takes http, https, ws and wss, with or without a slash at the end", async () => {
    await using bench = setUp();
    const { url } = await bench.rig.serve({ main: () => undefined });
    const ways = [url, `${url}/`, url.replace("http", "ws"), `${url.replace("http", "ws")}/`];
    for (const way of ways) expect(await bench.refusal(way)).toMatchObject({ reason: "unauthenticated" });
    for (const way of ["https://127.0.0.1:1/", "wss://127.0.0.1:1"]) {
      expect(await bench.refusal(way)).toMatchObject({ reason: "connection_refused" });
    }
  });

  test.each(["", "home", "not an address", "127.0.0.1:80", "ftp://home", "http://home?x", "http://home#x", "http://"])(
    "refuses '%s', which is no address",
    (url) => {
      expect(() => connect({ name: "home", url })).toThrow(TypeError);
    },
  );

  test("refuses an instance that no peer would take, and makes one when there is none", async () => {
    await using bench = setUp();
    const peers: Peer[] = [];
    const main = (peer: Peer) => {
      peers.push(peer);
      return bench.desk.mainFor(peer);
    };
    const { url } = await bench.rig.serve({ identity: bench.identity("home"), main });
    const identity = bench.identity("orders");
    for (const instance of ["", "short", "x".repeat(25), "orders instance 0"]) {
      expect(() => connect({ name: "home", url, as: { identity, instance } })).toThrow(TypeError);
    }
    const [first, second] = [0, 1].map(() => bench.rig.connect<Desk>({ url, as: { identity } }));
    await first?.opened();
    await second?.opened();
    const instances = peers.map((peer) => (peer.kind === "service" ? peer.instance : undefined));
    expect(instances).toEqual([expect.stringMatching(/^[\w-]{16}$/), expect.stringMatching(/^[\w-]{16}$/)]);
    expect(new Set(instances).size).toBe(2);
  });
});

interface Refuser extends AsyncDisposable {
  readonly url: string;
  open(): number;
}

/** A server that answers every upgrade with what `answer` says. */
async function serveAnswer(answer: (response: ServerResponse) => void): Promise<Refuser> {
  const http = createHttpServer({ shouldUpgradeCallback: () => false }, (_, response) => answer(response));
  let open = 0;
  http.on("connection", (socket) => {
    open += 1;
    socket.on("close", () => {
      open -= 1;
    });
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const end = () =>
    new Promise<void>((resolve) => {
      http.close(() => resolve());
      http.closeAllConnections();
    });
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    open: () => open,
    async [Symbol.asyncDispose]() {
      await end();
    },
  };
}
