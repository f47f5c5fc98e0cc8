import { deepStrictEqual } from "node:assert/strict";
import { type ConnectOptions, connect } from "../client/connect.ts";
import type { Connection } from "../client/connection.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { type ServeOptions, type Server, serve } from "../server/serve.ts";
import { until } from "./until.ts";

/** `ServeOptions` of which a rig knows all but `main`. */
export type RigServe = Partial<ServeOptions> & Pick<ServeOptions, "main">;

/** Servers and connections over real sockets. Disposing it ends them all and asserts that nothing is left behind. */
export interface Rig extends AsyncDisposable {
  serve(options: RigServe): Promise<Server>;
  connect<T extends RpcTarget>(options: Partial<ConnectOptions> & Pick<ConnectOptions, "url">): Connection<T>;
  /** Something else that the test opened; ended before the servers are, last first. */
  onEnd(end: () => unknown): void;
}

/** What of this process a test must leave as it was. Counted, because none of it can be told apart from outside. */
function footprint(): Record<string, number> {
  const sockets = process.getActiveResourcesInfo().filter((name) => /^(TCP|Pipe(Server|Connect))/.test(name)).length;
  const listeners = process.eventNames().map((name) => [`process.on ${String(name)}`, process.listenerCount(name)]);
  return { sockets, ...Object.fromEntries(listeners) };
}

/**
 * Servers and connections for one test: `await using rig = makeRig()`. At its end: the tables of all sessions are at rest,
 * sessions and sockets are gone, no listener of the process was left on, and no promise was ever rejected unheard.
 */
export function makeRig(): Rig {
  const before = footprint();
  const unheard: unknown[] = [];
  const onUnheard = (reason: unknown) => unheard.push(reason);
  process.on("unhandledRejection", onUnheard);
  const servers = new Set<Server>();
  const connections: Connection<RpcTarget>[] = [];
  const ends: (() => unknown)[] = [];

  return {
    async serve(options) {
      const server = await serve({ name: "home", instance: "home-instance-00", port: 0, ...options });
      const rigged: Server = {
        ...server,
        async drain(graceMs) {
          await server.drain(graceMs);
          deepStrictEqual(server.stats(), { sessions: 0, imports: 0, exports: 0 }, "what a drained server holds");
          servers.delete(rigged);
        },
      };
      servers.add(rigged);
      return rigged;
    },
    connect<T extends RpcTarget>(options: Partial<ConnectOptions> & Pick<ConnectOptions, "url">) {
      const connection = connect<T>({ name: "home", ...options });
      connections.push(connection as unknown as Connection<RpcTarget>);
      return connection;
    },
    onEnd: (end) => void ends.push(end),
    async [Symbol.asyncDispose]() {
      for (const connection of connections) {
        await until(
          () => !connection.isOpen || isAtRest(connection.stats(), 1),
          () => `the tables of a connection at rest: ${JSON.stringify(connection.stats())}`,
        );
        connection.close();
      }
      for (const end of ends.reverse()) await end();
      for (const server of servers) {
        await until(
          () => isAtRest(server.stats(), server.stats().sessions),
          () => `the tables of a server at rest: ${JSON.stringify(server.stats())}`,
        );
        await server.drain();
      }
      process.off("unhandledRejection", onUnheard);
      await until(
        // What was there before may well have gone meanwhile.
        () => Object.entries(footprint()).every(([what, count]) => count <= (before[what] ?? 0)),
        () => `the process with no more than it had: ${JSON.stringify({ before, after: footprint() })}`,
      );
      deepStrictEqual(unheard, [], "rejections that nobody heard");
    },
  };
}

/** Each side of a session holds its own and its peer's main object, and nothing else. */
function isAtRest({ imports, exports }: { imports: number; exports: number }, sessions: number): boolean {
  return imports === sessions && exports === sessions;
}
