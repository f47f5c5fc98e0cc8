import { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** What `pg` has connected by, because it waits for a server that is gone without a word. */
export interface Sockets {
  open(): Socket;
  /** Resolves when none is open any more, which those are made that are after `ms`. */
  closed(ms: number): Promise<void>;
}

export function makeSockets(): Sockets {
  const sockets = new Map<Socket, Promise<void>>();
  return {
    open() {
      const socket = new Socket();
      const { promise, resolve } = Promise.withResolvers<void>();
      socket.once("close", () => {
        sockets.delete(socket);
        resolve();
      });
      sockets.set(socket, promise);
      return socket;
    },
    async closed(ms) {
      await Promise.race([Promise.all(sockets.values()), pause(ms, undefined, { ref: false })]);
      for (const socket of sockets.keys()) socket.destroy();
    },
  };
}
