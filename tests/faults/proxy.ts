import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** `there`: from who connected to who was connected to; `back`: the other way. */
export type Direction = "there" | "back";

/** What a stretch of network does to the bytes on it. */
export interface Weather {
  /** Every byte is so late, both ways. Milliseconds. */
  readonly latencyMs: number;
  /** From nothing to so much more, anew for each piece; the order stays. Milliseconds. */
  readonly jitterMs: number;
  /** In each direction and connection; undefined for as much as there is. */
  readonly bytesPerSecond: number | undefined;
  /** Where nothing passes, and nobody is told. What is held is delivered late, if the connection lives to see it. */
  readonly stalled: readonly Direction[];
}

export const fairWeather: Weather = { latencyMs: 0, jitterMs: 0, bytesPerSecond: undefined, stalled: [] };

/** A stretch of network between a client and a server, over real sockets, that can be made as bad as real ones are. */
export interface Wire extends AsyncDisposable {
  readonly url: string;
  /** Connections that are open now. */
  readonly open: number;
  /** Bytes held back now, of all connections. */
  readonly heldBytes: number;
  /** Holds from now on, for connections that are open and for new ones. */
  setWeather(weather: Partial<Weather>): void;
  /** Ends every connection by RST. */
  reset(): void;
  /** Ends every connection in one direction only: who reads there hears the end, and can still write. */
  halfClose(direction: Direction): void;
  /** Nothing listens from now on; open connections stay. Resolves when a new one would be refused. */
  refuse(): Promise<void>;
  /** Listens again, at the same address. */
  accept(): Promise<void>;
}

export interface ProxyOptions {
  /** `http://host:port` that it leads to. */
  readonly target: string;
  /** From 0 to 1; decides the jitter. */
  random(): number;
}

/** Held above it, the sender is not read from: as between routers, whose buffers end. Bytes. */
const heldBytesMax = 64 * 1024;
/** With a bandwidth, pieces are this small, so that it is even. Bytes. */
const pieceBytesMax = 4 * 1024;

interface Stretch {
  readonly direction: Direction;
  readonly to: Socket;
  heldBytes: number;
  changed(): void;
}

interface Piece {
  readonly bytes: Buffer;
  readonly cameAtMs: number;
}

export async function makeProxy({ target, random }: ProxyOptions): Promise<Wire> {
  const { hostname, port: targetPort } = new URL(target);
  const sockets = new Set<Socket>();
  const stretches = new Set<Stretch>();
  let weather = fairWeather;
  let server: Server | undefined = await listen(0);
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}`,
    get open() {
      return sockets.size / 2;
    },
    get heldBytes() {
      return [...stretches].reduce((sum, { heldBytes }) => sum + heldBytes, 0);
    },
    setWeather(changes) {
      weather = { ...weather, ...changes };
      for (const stretch of stretches) stretch.changed();
    },
    reset() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    halfClose(direction) {
      for (const stretch of stretches) if (stretch.direction === direction) stretch.to.end();
    },
    async refuse() {
      const closing = server;
      server = undefined;
      // `close` stops listening at once; its callback waits for connections, which stay.
      closing?.close();
    },
    async accept() {
      server ??= await listen(port);
    },
    async [Symbol.asyncDispose]() {
      server?.close();
      const closed = [...sockets].map((socket) => once(socket, "close"));
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
  };

  async function listen(at: number): Promise<Server> {
    const listener = createServer({ allowHalfOpen: true, noDelay: true }, onConnection);
    listener.listen(at, "127.0.0.1");
    await once(listener, "listening");
    return listener;
  }

  function onConnection(near: Socket): void {
    const far = connect({ host: hostname, port: Number(targetPort), allowHalfOpen: true, noDelay: true });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => {
        sockets.delete(socket);
        // A cut on the one side is one on the other, and an end has been passed on before.
        other.destroy();
      });
    }
    void carry(near, far, "there");
    void carry(far, near, "back");
  }

  /** Every piece in its order, each when it is due. */
  async function carry(from: Socket, to: Socket, direction: Direction): Promise<void> {
    let wake = Promise.withResolvers<void>();
    const stretch: Stretch = { direction, to, heldBytes: 0, changed: () => wake.resolve() };
    const pieces: Piece[] = [];
    stretches.add(stretch);
    let isEnded = false;
    from.on("data", (bytes: Buffer) => {
      for (const piece of piecesOf(bytes)) pieces.push({ bytes: piece, cameAtMs: performance.now() });
      stretch.heldBytes += bytes.length;
      if (stretch.heldBytes > heldBytesMax) from.pause();
      wake.resolve();
    });
    from.once("end", () => {
      isEnded = true;
      wake.resolve();
    });
    to.on("drain", () => wake.resolve());
    for (const socket of [from, to]) socket.once("close", () => wake.resolve());

    while (!from.destroyed && !to.destroyed) {
      const next = pieces[0];
      if (!next && isEnded) break;
      if (!next || to.writableNeedDrain || weather.stalled.includes(direction)) {
        await wake.promise;
        wake = Promise.withResolvers();
        continue;
      }
      const waitMs = waitMsOf(next);
      if (waitMs > 0) await sleep(waitMs, undefined, { ref: false });
      // It may have stalled meanwhile.
      if (weather.stalled.includes(direction)) continue;
      pieces.shift();
      if (!to.writableEnded) to.write(next.bytes);
      stretch.heldBytes -= next.bytes.length;
      if (stretch.heldBytes <= heldBytesMax) from.resume();
    }
    if (isEnded && !to.destroyed) to.end();
    while (!from.destroyed || !to.destroyed) {
      await wake.promise;
      wake = Promise.withResolvers();
    }
    stretches.delete(stretch);
  }

  function waitMsOf({ bytes, cameAtMs }: Piece): number {
    const { latencyMs, jitterMs, bytesPerSecond } = weather;
    const sendingMs = bytesPerSecond === undefined ? 0 : (bytes.length / bytesPerSecond) * 1_000;
    return Math.max(cameAtMs + latencyMs + jitterMs * random() - performance.now(), sendingMs);
  }

  function piecesOf(bytes: Buffer): Buffer[] {
    if (weather.bytesPerSecond === undefined) return [bytes];
    const count = Math.ceil(bytes.length / pieceBytesMax);
    return Array.from({ length: count }, (_, i) => bytes.subarray(i * pieceBytesMax, (i + 1) * pieceBytesMax));
  }
}
