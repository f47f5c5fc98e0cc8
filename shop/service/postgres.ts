import { setTimeout as pause } from "node:timers/promises";
import type { Compilable } from "kysely";
import type { PoolClient } from "pg";
import { assertReads, type Database, makeBuilder, type UnitOptions, type Work } from "./database.ts";
import type { Migration } from "./migration.ts";
import { type ConnectionLimits, type Connections, makeConnections } from "./postgres-connections.ts";
import { closed, codedError, openingError, QueryFailure, unavailable } from "./postgres-error.ts";
import { migratePostgres } from "./postgres-migration.ts";
import type { PostgresPlace } from "./postgres-place.ts";

export const connectionLimits: ConnectionLimits = {
  // Of one instance. Measured: more of them place no more orders.
  connectionsMax: 16,
  connectMsMax: 2_000,
  statementMsMax: 4_000,
  // Below the deadline of a call, so that it ends with a word of ours; above what promoting a standby takes.
  patienceMs: 6_000,
};

/** A unit that others were in the way of so often is given up: it is one of too many for the same rows. */
const attemptsMax = 30;
/** Queries that are prepared by name, and stay so in each connection; ours have far fewer texts. */
const preparedMax = 256;

/**
 * A database of PostgreSQL, shared by as many instances of the service as one likes.
 *
 * A unit is a SERIALIZABLE transaction: its outcome is one that units one after the other could have had. Where that fails
 * because others were in the way it is begun anew, after a moment that chance chooses. It is begun anew too when its
 * connection or the server is gone, if it is certain that it was not committed or it `isRepeatable`.
 */
export interface Postgres<Tables> extends Database<Tables> {
  close(): Promise<void>;
}

/**
 * Opens the database at `place`, and brings its schema up to the last of `migrations`. Rejects with `unavailable` when
 * none of its servers takes writes, and `failed_precondition` when it is damaged or not of this code; see
 * `migratePostgres`.
 */
export async function openPostgres<Tables>(
  place: PostgresPlace,
  migrations: readonly Migration[],
  { application = "flotilla", ...limits }: Partial<ConnectionLimits> & { readonly application?: string } = {},
): Promise<Postgres<Tables>> {
  const connections = makeConnections(place, application, { ...connectionLimits, ...limits });
  const where = place.servers.map(({ name }) => name).join(", ");
  try {
    const client = await connections.acquire();
    try {
      await migratePostgres(client, { migrations, schema: place.schema, where });
    } finally {
      client.release();
    }
  } catch (error) {
    await connections.close();
    throw openingError(error, where);
  }
  return makePostgres(connections, { ...connectionLimits, ...limits });
}

function makePostgres<Tables>(connections: Connections, { patienceMs }: ConnectionLimits): Postgres<Tables> {
  const names = new Map<string, string>();
  const underWay = new Set<Promise<unknown>>();
  let isClosed = false;

  function nameOf(sql: string): string | undefined {
    const known = names.get(sql);
    if (known !== undefined || names.size >= preparedMax) return known;
    const name = `q${names.size}`;
    names.set(sql, name);
    return name;
  }

  async function rowsOf(client: PoolClient, query: Compilable<unknown>): Promise<unknown[]> {
    const { sql, parameters } = query.compile();
    const name = nameOf(sql);
    const { rows } = await ask(client, { text: sql, values: [...parameters], ...(name !== undefined && { name }) });
    return rows;
  }

  async function inTransaction<T>(client: PoolClient, work: Work<T>): Promise<T> {
    await ask(client, { text: "BEGIN ISOLATION LEVEL SERIALIZABLE" });
    let step = work.next();
    while (!step.done) step = work.next(await rowsOf(client, step.value));
    await commit(client);
    return step.value;
  }

  /** Each of its queries is a transaction of its own. */
  async function withoutTransaction<T>(client: PoolClient, work: Work<T>): Promise<T> {
    let writes = 0;
    let step = work.next();
    while (!step.done) {
      const { sql } = step.value.compile();
      const isWrite = !sql.startsWith("select");
      if (isWrite && ++writes > 1) throw new Error("a unit that writes once would have written twice");
      const rows = rowsOf(client, step.value);
      step = work.next(isWrite ? await sure(client, rows) : await rows);
    }
    return step.value;
  }

  /** Once, on one connection; a `QueryFailure` says what can be done about it. */
  async function attempt<T>(body: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await connections.acquire();
    let isUsable = true;
    try {
      return await body(client);
    } catch (error) {
      isUsable = await isWell(client, error);
      if (error instanceof QueryFailure && (error.kind === "read_only" || error.isSilence))
        connections.distrust(client);
      throw error;
    } finally {
      client.release(!isUsable);
    }
  }

  async function persist<T>(body: (client: PoolClient) => Promise<T>, isRepeatable: boolean): Promise<T> {
    const untilMs = performance.now() + patienceMs;
    for (let attempts = 1; ; attempts++) {
      try {
        return await attempt(body);
      } catch (error) {
        if (!(error instanceof QueryFailure)) throw error;
        const isLeft = attempts < attemptsMax && performance.now() < untilMs;
        if (!isLeft || !mayPass(error) || (error.isUncertain && !isRepeatable)) throw codedError(error);
        await pause(Math.random() * Math.min(2 ** attempts, 100));
      }
    }
  }

  /** Until it is settled it is waited for by `close`. */
  async function tracked<T>(start: () => Promise<T>): Promise<T> {
    if (isClosed) throw closed();
    const started = start();
    underWay.add(started);
    try {
      return await started;
    } finally {
      underWay.delete(started);
    }
  }

  return {
    dialect: "postgres",
    build: makeBuilder<Tables>("postgres"),
    unit: (work, { isRepeatable = false, writesOnce = false }: UnitOptions = {}) =>
      tracked(() =>
        persist(
          (client) => (writesOnce ? withoutTransaction(client, work()) : inTransaction(client, work())),
          isRepeatable,
        ),
      ),
    async read<Row>(query: Compilable<Row>) {
      assertReads(query.compile().sql);
      return (await tracked(() => persist((client) => rowsOf(client, query), true))) as Row[];
    },
    async close() {
      isClosed = true;
      await Promise.allSettled(underWay);
      await connections.close();
    },
  };
}

interface Question {
  readonly text: string;
  readonly values?: unknown[];
  readonly name?: string;
}

async function ask(client: PoolClient, question: Question): Promise<{ rows: unknown[]; command: string }> {
  try {
    return await client.query(question);
  } catch (error) {
    throw new QueryFailure(error);
  }
}

async function commit(client: PoolClient): Promise<void> {
  const { command } = await sure(client, ask(client, { text: "COMMIT" }));
  // So it answers to the COMMIT of a transaction in which something failed.
  if (command !== "COMMIT") throw new Error("what was to be committed was rolled back");
}

/**
 * The answer to what commits. Without one nobody knows whether it did; and with a warning it did, but it is not where it
 * should be: somebody ended the waiting for a synchronous standby.
 */
async function sure<T>(client: PoolClient, answer: Promise<T>): Promise<T> {
  let warning: unknown;
  const onNotice = (notice: { severity?: string | undefined }) => {
    if (notice.severity === "WARNING") warning = notice;
  };
  client.on("notice", onNotice);
  try {
    const given = await answer;
    if (warning !== undefined) throw unavailable(warning);
    return given;
  } catch (error) {
    if (error instanceof QueryFailure) throw error.whileCommitting();
    throw error;
  } finally {
    client.off("notice", onNotice);
  }
}

function mayPass({ kind }: QueryFailure): boolean {
  return kind === "conflict" || kind === "broken" || kind === "read_only";
}

/** Ends the transaction that `error` left. */
async function isWell(client: PoolClient, error: unknown): Promise<boolean> {
  if (error instanceof QueryFailure && error.kind === "broken") return false;
  if (client.getTransactionStatus() === "I") return true;
  try {
    await client.query("ROLLBACK");
    return true;
  } catch {
    return false;
  }
}
