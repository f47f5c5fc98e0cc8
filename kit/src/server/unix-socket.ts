import { chmodSync, rmSync } from "node:fs";
import type { Server as HttpServer } from "node:http";
import { connect, createServer, type Server } from "node:net";
import { FlotillaError } from "../base/errors.ts";

/** The shortest limit of the systems that we know (macOS; Linux takes 107). Longer ones would be cut without a word. Bytes. */
const pathBytesMax = 103;

/** Takes no new connections; resolves when the last one has ended. */
export type CloseSocket = () => Promise<void>;

/**
 * Lets `http` be reached at the Unix socket `path` too, by the owner of this process only. What a predecessor that was
 * killed left there is removed.
 *
 * @throws FlotillaError `unavailable`, reason `port_in_use` when another process listens there, or `cannot_listen`.
 */
export async function listenAtSocket(http: HttpServer, path: string): Promise<CloseSocket> {
  if (Buffer.byteLength(path) > pathBytesMax) throw cannotListen(path, `is longer than ${pathBytesMax} bytes`);
  const server = createServer((socket) => http.emit("connection", socket));
  try {
    await listenAt(server, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw cannotListen(path, "cannot be made", error);
    if (await isAnswered(path)) {
      const detail = { reason: "port_in_use", cause: error };
      throw new FlotillaError("unavailable", `The socket ${path} is in use by another program`, detail);
    }
    rmSync(path, { force: true });
    await listenAt(server, path).catch((again: unknown) => {
      throw cannotListen(path, "cannot be made", again);
    });
  }
  chmodSync(path, 0o600);
  return () => new Promise((resolve) => server.close(() => resolve()));
}

function listenAt(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ path }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (isThere: boolean) => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

function cannotListen(path: string, why: string, cause?: unknown): FlotillaError {
  return new FlotillaError("unavailable", `The socket ${path} ${why}`, { reason: "cannot_listen", cause });
}
