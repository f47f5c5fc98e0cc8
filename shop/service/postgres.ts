import { setTimeout as pause } from "node:timers/promises";
import { makeBulkhead, systemClock } from "@flotilla/kit";
import type { Compilable, CompiledQuery } from "kysely";
import type { PoolClient, QueryResult } from "pg";
import { assertReads, type Database, makeBuilder, reads, type UnitOptions, type Work } from "./database.ts";
import type { Migration } from "./migration.ts";
import { type ConnectionLimits, type Connections, makeConnections } from "./postgres-connections.ts";
import { busy, closed, codedError, openingError, QueryFailure, unavailable } from "./postgres-error.ts";
import { migratePostgres } from "./postgres-migration.ts";
import type { PostgresPlace } from "./postgres-place.ts";
import type { StoreMarker } from "./store-marker.ts";

export const connectionLimits: ConnectionLimits = {
  // Of one instance. Measured: more of them place no more orders.
  connectionsMax: 16,
  connectMsMax: 2_000,
  statementMsMax: 4_000,
  // Below the deadline of a call, so that it ends with a word of ours; above what promoting a standby takes.
  patienceMs: 6_000,
};

/**
 * One unit at a time, over all instances. The lock is what is waited for; without it most units that meet would be begun
 * anew, and some for ever (measured: of 128 callers' logins a tenth failed after 30 attempts). SERIALIZABLE holds also
 * against what does not take the lock. In one text, so it is one round trip, and before anything is seen.
 */
const beginAlone = "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE migrations IN SHARE ROW EXCLUSIVE MODE";

/**
 * Writes nothing that anybody sees. What a unit found done may be the work of one that nobody could answer, because the
 * standby did not have it; a commit of this waits until the standby has both.
 */
const mark = "SELECT pg_logical_emit_message(true, 'flotilla', '')";

/** Transactions of one instance at once: they wait for each other anyway, and what reads has the other connections. */
const transactionsMax = 2;
/** More of them would not be done in time. */
const waitingMax = 1_000;

/** A unit that others were in the way of so often is given up: it is one of too many for the same rows. */
const attemptsMax = 30;
/** Queries that are prepared by name, and stay so in each connection; ours have far fewer texts. */
const preparedMax = 256;

/**
 * A database of PostgreSQL, shared by as many instances of the service as one likes.
 *
 * A unit is a SERIALIZABLE transaction, and one of a database runs after the other, whichever instance asked; only what
 * `writesOnce` runs beside them. Where others were in the way all the same it is begun anew, after a moment that chance
 * chooses. It is begun anew too when its connection or the server is gone, if it is certain that it was not committed or it `isRepeatable`.
 */
export interface Postgres<Tables> extends Database<Tables> {
  close(): Promise<void>;
}

export interface PostgresOptions extends Partial<ConnectionLimits> {
  readonly application?: string;
  /** The marker of an earlier start: with it an empty database is not taken for a new one. */
  readonly marker?: StoreMarker | undefined;
}

/**
 * Opens the database at `place`, and brings its schema up to the last of `migrations`. Rejects with `unavailable` when
 * none of its servers takes writes, and `failed_precondition` when it is damaged or not of this code; see
 * `migratePostgres`.
 */
export async function openPostgres<Tables>(
  place: PostgresPlace,
  migrations: readonly Migration[],
  { application = "flotilla", marker, ...limits }: PostgresOptions = {},
): Promise<Postgres<Tables>> {
  const allLimits = { ...connectionLimits, ...limits };
  const connections = makeConnections(place, application, allLimits);
  const where = place.servers.map(({ name }) => name).join(", ");
  try {
    const client = await connections.acquire(performance.now() + allLimits.patienceMs);
    try {
      await migratePostgres(client, { migrations, schema: place.schema, where, marker });
    } finally {
      client.release();
    }
  } catch (error) {
    await connections.close();
    throw openingError(error, where);
  }
  return makePostgres(connections, allLimits);
}

function makePostgres<Tables>(connections: Connections, { patienceMs }: ConnectionLimits): Postgres<Tables> {
  const names = new Map<string, string>();
  const underWay = new Set<Promise<unknown>>();
  const refusal = () => (connections.hasServer ? busy() : unavailable(new Error("no server was found meanwhile")));
  const turns = makeBulkhead({
    ...{ runningMax: transactionsMax, waitingMax, waitMsMax: patienceMs },
    ...{ refusal, clock: systemClock },
  });
  let isClosed = false;

  function nameOf(sql: string): string | undefined {
    const known = names.get(sql);
    if (known !== undefined || names.size >= preparedMax) return known;
    const name = `q${names.size}`;
    names.set(sql, name);
    return name;
  }

  async function answerTo(client: PoolClient, { sql, parameters }: CompiledQuery): Promise<Answer> {
    const name = nameOf(sql);
    const question = { text: sql, values: [...parameters], ...(name !== undefined && { name }) };
    const { rows, rowCount } = await ask(client, question);
    return { rows, hasWritten: !reads(sql) && rowCount !== 0 };
  }

  async function inTransaction<T>(client: PoolClient, work: Work<T>): Promise<T> {
    await ask(client, { text: beginAlone });
    let hasWritten = false;
    let step = work.next();
    while (!step.done) {
      const answer = await answerTo(client, step.value.compile());
      hasWritten ||= answer.hasWritten;
      step = work.next(answer.rows);
    }
    if (!hasWritten) await ask(client, { text: mark });
    await commit(client);
    return step.value;
  }

  /** Each of its queries is a transaction of its own. */
  async function withoutTransaction<T>(client: PoolClient, work: Work<T>): Promise<T> {
    let writes = 0;
    let step = work.next();
    while (!step.done) {
      const query = step.value.compile();
      if (reads(query.sql)) {
        step = work.next((await answerTo(client, query)).rows);
        continue;
      }
      if (++writes > 1) throw new Error("a unit that writes once would have written twice");
      const { rows, hasWritten } = await sure(client, answerTo(client, query));
      if (!hasWritten) await sure(client, ask(client, { text: mark }));
      step = work.next(rows);
    }
    return step.value;
  }

  /** Once, on one connection; a `QueryFailure` says what can be done about it. */
  async function attempt<T>(body: (client: PoolClient) => Promise<T>, untilMs: number): Promise<T> {
    const client = await connections.acquire(untilMs);
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

  async function persist<T>(
    body: (client: PoolClient) => Promise<T>,
    { isRepeatable, untilMs }: { readonly isRepeatable: boolean; readonly untilMs: number },
  ): Promise<T> {
    for (let attempts = 1; ; attempts++) {
      try {
        return await attempt(body, untilMs);
      } catch (error) {
        if (!(error instanceof QueryFailure)) throw error;
        const isLeft = attempts < attemptsMax && performance.now() < untilMs;
        if (!isLeft || !mayPass(error) || (error.isUncertain && !isRepeatable)) throw codedError(error);
        await pause(Math.random() * Math.min(2 ** attempts, 100));
      }
    }
  }

  /** Until it is settled it is waited for by `close`. @param start told until when it may wait, by `performance.now()`. */
  async function tracked<T>(start: (untilMs: number) => Promise<T>): Promise<T> {
    if (isClosed) throw closed();
    const started = start(performance.now() + patienceMs);
    underWay.add(started);
    try {
      return await started;
    } finally {
      underWay.delete(started);
    }
  }

  return {
    dialect: "postgres",
    revision: undefined,
    build: makeBuilder<Tables>("postgres"),
    unit: (work, { isRepeatable = false, writesOnce = false }: UnitOptions = {}) =>
      tracked(async (untilMs) => {
        const how = { isRepeatable, untilMs };
        if (writesOnce) return await persist((client) => withoutTransaction(client, work()), how);
        return await turns.run(() => persist((client) => inTransaction(client, work()), how));
      }),
    async read<Row>(query: Compilable<Row>) {
      const compiled = query.compile();
      assertReads(compiled.sql);
      const rows = (client: PoolClient) => answerTo(client, compiled).then((answer) => answer.rows);
      return (await tracked((untilMs) => persist(rows, { isRepeatable: true, untilMs }))) as Row[];
    },
    async close() {
      isClosed = true;
      connections.stopLooking();
      await Promise.allSettled(underWay);
      await connections.close();
    },
  };
}

interface Answer {
  readonly rows: unknown[];
  readonly hasWritten: boolean;
}

interface Question {
  readonly text: string;
  readonly values?: unknown[];
  readonly name?: string;
}

async function ask(client: PoolClient, question: Question): Promise<QueryResult> {
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

/** Of a notice that is no warning. Which word says so depends on the language of the server. */
const successful = "00000";

/**
 * The answer to what commits. Without one nobody knows whether it did; and with a warning it did, but it is not where it
 * should be: somebody ended the waiting for a synchronous standby.
 */
async function sure<T>(client: PoolClient, answer: Promise<T>): Promise<T> {
  let warning: unknown;
  const onNotice = (notice: { code?: string | undefined }) => {
    if (notice.code !== successful) warning = notice;
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

/** Ends the transaction that `error` left. After a query failed `client` does not know yet whether it is in one. */
async function isWell(client: PoolClient, error: unknown): Promise<boolean> {
  if (error instanceof QueryFailure && error.kind === "broken") return false;
  if (!(error instanceof QueryFailure) && client.getTransactionStatus() === "I") return true;
  try {
    await client.query("ROLLBACK");
    return true;
  } catch {
    return false;
  }
}
