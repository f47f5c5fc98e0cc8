import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server as NetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import type { Peer } from "../base/peer.ts";
import { openIdentity } from "../identity/identity.ts";
import { type Desk, makeDesk } from "../testing/desk.ts";
import { makeRig, type Rig } from "../testing/rig.ts";
import { outcome, until } from "../testing/until.ts";

interface Bench extends AsyncDisposable {
  readonly rig: Rig;
  readonly directory: string;
  readonly socketPath: string;
  readonly url: string;
}

function setUp(): Bench {
  const directory = mkdtempSync(join(tmpdir(), "flotilla socket-"));
  const socketPath = join(directory, "home.sock");
  const rig = makeRig();
  return {
    rig,
    directory,
    socketPath,
    url: `unix:${encodeURI(socketPath)}`,
    async [Symbol.asyncDispose]() {
      await rig[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
    },
  };
}

function listenAt(path: string): Promise<NetServer> {
  const server = createServer();
  return new Promise((resolve) => server.listen(path, () => resolve(server)));
}

/** The mask of a frame of up to 64 KiB. */
function maskOf(frame: Buffer): Buffer {
  const at = (frame[1]! & 0x7f) === 126 ? 4 : 2;
  return frame.subarray(at, at + 4);
}

describe.skipIf(process.platform === "win32")("a Unix socket", () => {
  test("leads to the same service as the port, with the same proofs, and only its owner may use it", async () => {
    await using bench = setUp();
    const keys = join(bench.directory, "keys");
    const desk = makeDesk();
    const peers: Peer[] = [];
    const server = await bench.rig.serve({
      identity: openIdentity(keys, "home"),
      main(peer) {
        peers.push(peer);
        return desk.mainFor(peer);
      },
      socketPath: bench.socketPath,
    });
    const as = { identity: openIdentity(keys, "orders"), instance: "orders-instance0" };
    const near = bench.rig.connect<Desk>({ url: bench.url, as });
    const far = bench.rig.connect<Desk>({ url: server.url, as });
    expect([await outcome(near.main.add(1, 2)), await outcome(far.main.add(3, 4))]).toEqual([3, 7]);
    expect(peers).toMatchObject([
      { kind: "service", name: "orders" },
      { kind: "service", name: "orders" },
    ]);
    expect(near.instance).toBe("home-instance-00");
    expect(statSync(bench.socketPath).mode & 0o777).toBe(0o600);
  });

  test("is gone when the server has drained; who was connected finds the next one by itself", async () => {
    await using bench = setUp();
    const desk = makeDesk();
    const options = { main: desk.mainFor, socketPath: bench.socketPath };
    const first = await bench.rig.serve(options);
    const connection = bench.rig.connect<Desk>({ url: bench.url });
    expect(await outcome(connection.main.add(1, 2))).toBe(3);
    await first.drain();
    expect(existsSync(bench.socketPath)).toBe(false);
    await until(() => !connection.isOpen, "it is known to be away");
    await expect(outcome(connection.main.add(1, 2))).rejects.toMatchObject({ code: "unavailable" });
    const early = bench.rig.connect<Desk>({ url: bench.url });
    await expect(early.opened()).rejects.toMatchObject({ code: "unavailable", reason: "connection_refused" });
    await bench.rig.serve(options);
    await until(() => connection.isOpen, "it has connected again");
    expect(await outcome(connection.main.add(1, 2))).toBe(3);
  });

  test("that a predecessor left behind when it was killed is taken over", async () => {
    await using bench = setUp();
    // What a killed process leaves is a socket that nobody answers; a plain file stands for it here.
    writeFileSync(bench.socketPath, "");
    await bench.rig.serve({ main: makeDesk().mainFor, socketPath: bench.socketPath });
    const connection = bench.rig.connect<Desk>({ url: bench.url });
    expect(await outcome(connection.main.add(1, 2))).toBe(3);
  });

  test("carries frames without a mask, which a port does not", async () => {
    await using bench = setUp();
    const server = new WebSocketServer({ noServer: true });
    for (const at of [{ path: bench.socketPath }, { port: 0, host: "127.0.0.1" }]) {
      const masks: Buffer[] = [];
      const http = createHttpServer().on("upgrade", (request, socket, head) => {
        socket.on("data", (bytes: Buffer) => masks.push(maskOf(bytes)));
        server.handleUpgrade(request, socket, head, () => {});
      });
      await new Promise<void>((resolve) => http.listen(at, resolve));
      bench.rig.onEnd(() => new Promise((resolve) => http.close(resolve)));
      const address = http.address();
      const url = typeof address === "string" ? bench.url : `http://127.0.0.1:${address?.port}`;
      const connection = bench.rig.connect<Desk>({ url });
      connection.main.add(1, 2).then(undefined, () => {});
      await until(() => masks.length > 0, "a frame has come");
      connection.close();
      expect(masks[0]?.equals(Buffer.alloc(4)), url).toBe("path" in at);
    }
  });

  test("whose process stands still is given up, as a port is", async () => {
    await using bench = setUp();
    const silent = await listenAt(bench.socketPath);
    silent.on("connection", (socket) => socket.on("error", () => {}).resume());
    bench.rig.onEnd(() => new Promise((resolve) => silent.close(resolve)));
    const connection = bench.rig.connect<Desk>({ url: bench.url });
    await expect(connection.opened()).rejects.toMatchObject({ code: "unavailable" });
  });

  test("that another process listens at is left to it, and then the service listens nowhere", async () => {
    await using bench = setUp();
    const other = await listenAt(bench.socketPath);
    bench.rig.onEnd(() => new Promise((resolve) => other.close(resolve)));
    const inUse = { code: "unavailable", reason: "port_in_use" };
    const serve = (port: number) => bench.rig.serve({ main: makeDesk().mainFor, port, socketPath: bench.socketPath });
    await expect(serve(0)).rejects.toMatchObject(inUse);
    expect(existsSync(bench.socketPath)).toBe(true);
  });

  test("cannot be where no socket can be", async () => {
    await using bench = setUp();
    // Linux would take the first, macOS cut it.
    const tooLong = `${bench.directory}/`.padEnd(105, "x");
    const paths = [tooLong, join(bench.directory, "absent", "home.sock")];
    for (const socketPath of paths) {
      const served = bench.rig.serve({ main: makeDesk().mainFor, socketPath });
      await expect(served).rejects.toMatchObject({ code: "unavailable", reason: "cannot_listen" });
    }
  });
});

test("a unix: URL names an absolute path", async () => {
  await using rig = makeRig();
  for (const url of ["unix:home.sock", "unix:", "unix:/run/home.sock?x"]) {
    expect(() => rig.connect({ url })).toThrow(TypeError);
  }
});
