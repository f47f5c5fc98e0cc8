import { setTimeout as pause } from "node:timers/promises";
import { FlotillaError } from "@flotilla/kit";
import pg, { type ClientConfig, type Pool, type PoolClient } from "pg";
import { busy, closed, unavailable } from "./postgres-error.ts";
import type { PostgresPlace, PostgresServer } from "./postgres-place.ts";
import { makeSockets, type Sockets } from "./postgres-sockets.ts";

/** What a store asks of its connections; each has a default in `postgres.ts`. */
export interface ConnectionLimits {
  /** Connections at once. */
  readonly connectionsMax: number;
  /** How long connecting may take, and waiting for a connection of the pool. Milliseconds. */
  readonly connectMsMax: number;
  /** How long one query may take; the server then ends it. Milliseconds. */
  readonly statementMsMax: number;
  /** How long a unit may wait, for its turn and for a server that takes writes, and be begun anew. Milliseconds. */
  readonly patienceMs: number;
}

/** Units that wait for a connection; more of them would not be served in time. */
const waitingMax = 2_000;
/** A connection is replaced after an hour: its memory for prepared queries is given back. Seconds. */
const connectionSecondsMax = 3_600;
const idleMsMax = 60_000;
/** What the server may be silent after it should have ended a query: its machine is gone, or the network. Milliseconds. */
const silenceMs = 1_000;
/** Between two rounds of asking all servers. Milliseconds, of which half is left to chance. */
const searchEveryMs = 100;
/** A server that had no room for another connection is asked for none for so long. Milliseconds. */
const fullMs = 1_000;

/** Numbers beyond 2^53 are never written: the domain's limits see to it. */
const types = {
  getTypeParser: (oid: number, format?: "text" | "binary") =>
    oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format as "text"),
} as NonNullable<ClientConfig["types"]>;

/**
 * Connections to the one of several servers that takes writes. When it is gone all servers are asked, at once and again
 * and again, until one of them does; who needs a connection meanwhile waits.
 */
export interface Connections {
  /** Whether one is known that takes writes. */
  readonly hasServer: boolean;
  /**
   * Rejects with `unavailable` at `untilMs`, by `performance.now()`, or at once when there was no server for `patienceMs`
   * already; with `resource_exhausted` when all connections are in use for too long.
   */
  acquire(untilMs: number): Promise<PoolClient>;
  /** The server behind `client` is not what it was: all are asked anew. */
  distrust(client: PoolClient): void;
  /** Who needs a server that is not there is refused from now on. */
  stopLooking(): void;
  close(): Promise<void>;
}

interface PoolState {
  readonly sockets: Sockets;
  /** Its connections, without those that are being opened. */
  readonly connected: Set<PoolClient>;
}

export function makeConnections(place: PostgresPlace, application: string, limits: ConnectionLimits): Connections {
  const { connectionsMax, connectMsMax, statementMsMax, patienceMs } = limits;
  const poolOf = new WeakMap<PoolClient, Pool>();
  const stateOf = new WeakMap<Pool, PoolState>();
  const ends = new Set<Promise<unknown>>();
  let pool: Pool | undefined;
  let search: Promise<Pool> | undefined;
  let missingSinceMs = Number.POSITIVE_INFINITY;
  let fullUntilMs = 0;
  let isLooking = true;

  const configOf = ({ connectionString }: PostgresServer): ClientConfig => ({
    connectionString,
    types,
    application_name: application,
    statement_timeout: statementMsMax,
    query_timeout: statementMsMax + silenceMs,
    idle_in_transaction_session_timeout: statementMsMax,
    connectionTimeoutMillis: connectMsMax,
    keepAlive: true,
    ...(place.schema !== undefined && { options: `-c search_path=${place.schema}` }),
  });

  function openPool(server: PostgresServer): Pool {
    const sockets = makeSockets();
    const connected = new Set<PoolClient>();
    const opened = new pg.Pool({
      ...configOf(server),
      stream: sockets.open,
      max: connectionsMax,
      idleTimeoutMillis: idleMsMax,
      maxLifetimeSeconds: connectionSecondsMax,
      onConnect: (client) => prepareSession(client as PoolClient),
    });
    // Of an idle connection that breaks: the pool has let go of it, and the next one is opened when it is needed.
    opened.on("error", () => undefined);
    stateOf.set(opened, { sockets, connected });
    opened.on("remove", (client) => connected.delete(client as PoolClient));
    opened.on("connect", (client) => {
      connected.add(client);
      poolOf.set(client, opened);
      // Of one that breaks while it is used: the query says so too.
      client.on("error", () => undefined);
    });
    return opened;
  }

  async function probe(server: PostgresServer): Promise<PostgresServer> {
    const sockets = makeSockets();
    const client = new pg.Client({ ...configOf(server), stream: sockets.open });
    client.on("error", () => undefined);
    try {
      await client.connect();
      await prepareSession(client);
      return server;
    } finally {
      client.end().catch(() => undefined);
      await sockets.closed(connectMsMax);
    }
  }

  let lastFailure: unknown;
  async function find(): Promise<Pool> {
    missingSinceMs = performance.now();
    while (isLooking) {
      try {
        const server = await Promise.any(place.servers.map((each) => tracked(probe(each))));
        if (!isLooking) break;
        pool = openPool(server);
        missingSinceMs = Number.POSITIVE_INFINITY;
        return pool;
      } catch (error) {
        lastFailure = error;
        await pause(searchEveryMs * (0.5 + Math.random() / 2));
      }
    }
    throw closed();
  }

  /** The pool of the server that takes writes, as soon as there is one. */
  function current(): Promise<Pool> | Pool {
    if (pool) return pool;
    if (!search) {
      search = find().finally(() => {
        search = undefined;
      });
      // Who waits for it may have given up.
      search.catch(() => undefined);
    }
    return search;
  }

  /** The server has no room for another connection: who needs one waits for those that are there. */
  async function makeDo(from: Pool): Promise<void> {
    const { size } = stateOf.get(from)!.connected;
    fullUntilMs = performance.now() + fullMs;
    from.options.max = Math.max(size, 1);
    if (size === 0) await pause(searchEveryMs * (0.5 + Math.random() / 2));
  }

  /** Whether all that a unit waited for was taken: as many as we may have, or as the server had room for meanwhile. */
  function isInUse(from: Pool): boolean {
    const wasFull = performance.now() < fullUntilMs + connectMsMax;
    return from.totalCount >= connectionsMax || (wasFull && stateOf.get(from)!.connected.size > 0);
  }

  /** One that comes too late goes back. */
  async function connectWithin(from: Pool, ms: number): Promise<PoolClient> {
    const connecting = from.connect();
    try {
      return await within(connecting, ms, () => unavailable(lastFailure));
    } catch (error) {
      connecting.then(
        (client) => client.release(),
        () => undefined,
      );
      throw error;
    }
  }

  function drop(from: Pool): void {
    if (pool === from) pool = undefined;
    if (!from.ending) void tracked(end(from));
  }

  /** Units that have a connection still finish with it. */
  async function end(from: Pool): Promise<void> {
    await from.end();
    await stateOf.get(from)!.sockets.closed(connectMsMax);
  }

  /** Until it is over `close` is not. */
  async function tracked<T>(work: Promise<T>): Promise<T> {
    ends.add(work);
    try {
      return await work;
    } finally {
      ends.delete(work);
    }
  }

  return {
    get hasServer() {
      return pool !== undefined;
    },
    async acquire(untilMs) {
      for (;;) {
        if (!isLooking && !pool) throw closed();
        const leftMs = untilMs - performance.now();
        if (leftMs <= 0 || performance.now() - missingSinceMs > patienceMs) throw unavailable(lastFailure);
        const from = await within(current(), leftMs, () => unavailable(lastFailure));
        if (from.waitingCount >= waitingMax) throw busy();
        if (performance.now() >= fullUntilMs) from.options.max = connectionsMax;
        try {
          return await connectWithin(from, untilMs - performance.now());
        } catch (error) {
          if (error instanceof FlotillaError) throw error;
          // The server is well, and all its connections are in use.
          if (from === pool && isLate(error) && isInUse(from)) throw busy();
          lastFailure = error;
          if (isFull(error)) await makeDo(from);
          else drop(from);
        }
      }
    },
    distrust(client) {
      const from = poolOf.get(client);
      if (from) drop(from);
    },
    stopLooking() {
      isLooking = false;
    },
    async close() {
      isLooking = false;
      if (pool) drop(pool);
      await Promise.allSettled([...ends, search]);
    },
  };
}

/**
 * Asked of every connection before it is used: a server that is promoted later, or was a moment ago, is not mistaken. An
 * acknowledged unit is on the disk of the server, and on that of its synchronous standby if it has one.
 */
async function prepareSession(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query(`
    SELECT current_setting('transaction_read_only') AS read_only,
      CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
        THEN set_config('synchronous_commit', 'on', false) END AS made_sure`);
  if (rows[0]?.read_only !== "off") throw new Error("the server does not take writes");
}

/** The pool has no other mark for it. */
function isLate(error: unknown): boolean {
  return error instanceof Error && error.message === "timeout exceeded when trying to connect";
}

/** Of the server, or of the role: "too many connections". */
function isFull(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === "53300";
}

async function within<T>(wanted: Promise<T> | T, ms: number, onLate: () => Error): Promise<T> {
  if (!(wanted instanceof Promise)) return wanted;
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(onLate()), ms);
  try {
    return await Promise.race([wanted, promise]);
  } finally {
    clearTimeout(timer);
  }
}
