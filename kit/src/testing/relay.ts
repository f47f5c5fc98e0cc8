import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A stretch of network between a client and a server, over real sockets. */
export interface Relay extends AsyncDisposable {
  readonly url: string;
  /** Connections it took so far. */
  accepted(): number;
  /** From now on nothing passes in either direction, and nobody is told: a cable pulled out. */
  freeze(): void;
  /** Lets pass again what comes from now on, on new connections. */
  thaw(): void;
  /** Resets what is connected. */
  cut(): void;
}

/** A relay that leads to `target`, `http://host:port`; without it everything that comes is swallowed. */
export async function makeRelay(target?: string): Promise<Relay> {
  const sockets = new Set<Socket>();
  let isFrozen = target === undefined;
  let accepted = 0;
  const server = createServer((near) => {
    accepted += 1;
    keep(near);
    if (isFrozen || target === undefined) return;
    const { hostname, port } = new URL(target);
    const far = connect(Number(port), hostname);
    keep(far);
    pass(near, far);
    pass(far, near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    accepted: () => accepted,
    freeze() {
      isFrozen = true;
    },
    thaw() {
      isFrozen = false;
    },
    cut() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };

  function keep(socket: Socket): void {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  }

  function pass(from: Socket, to: Socket): void {
    from.on("data", (bytes) => {
      if (!isFrozen) to.write(bytes);
    });
    from.on("close", () => {
      if (!isFrozen) to.destroy();
    });
  }
}
