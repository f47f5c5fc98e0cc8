import { FlotillaError } from "@flotilla/kit";
import type { ClientBase } from "pg";
import { countApplied, type Migration } from "./migration.ts";
import { lostError, type StoreMarker } from "./store-marker.ts";

const versionTable = `
  CREATE TABLE migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at_ms bigint NOT NULL,
    shape text[] NOT NULL
  )`;

/** Below it time-outs count for a whole text of several statements, and columns that number themselves are missing. */
const versionMin = 130_000;
/** How long one instance waits for another that is making the schema, and a step may take. Milliseconds. */
const migrationMsMax = 600_000;
/** What the server may be silent after that. Milliseconds. */
const silenceMs = 1_000;

/** What the code relies on, by name: a dump that was read in again, or a newer server, has the same. */
const shapeQuery = `
  SELECT array_agg(part ORDER BY part) AS shape FROM (
    SELECT format('column %s.%s', table_name, column_name) AS part
      FROM information_schema.columns WHERE table_schema = current_schema()
    UNION ALL SELECT format('constraint %s.%s', conrelid::regclass, conname)
      FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
    UNION ALL SELECT format('index %s', indexname) FROM pg_indexes WHERE schemaname = current_schema()
    UNION ALL SELECT format('trigger %s.%s', tgrelid::regclass, tgname)
      FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
      WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal AND tgenabled IN ('O', 'A')
  ) AS parts`;

export interface MigrationOptions {
  readonly migrations: readonly Migration[];
  readonly schema: string | undefined;
  readonly where: string;
  readonly marker?: StoreMarker | undefined;
}

/**
 * Brings the schema that `client` looks into up to the last of `migrations`, in one transaction; of several instances one
 * does it, and the others wait. Throws `failed_precondition` for one that newer code wrote, that is another service's, that
 * has no schema although `marker` says that there was one, or that lacks what was there when it was made. A role that may not create anything is enough when there is nothing to do.
 */
export async function migratePostgres(
  client: ClientBase,
  { migrations, schema, where, marker }: MigrationOptions,
): Promise<void> {
  await assertServer(client, where);
  await client.query("BEGIN");
  try {
    await client.query(`SET LOCAL statement_timeout = ${migrationMsMax}`);
    await client.query(`SET LOCAL idle_in_transaction_session_timeout = ${migrationMsMax}`);
    await lock(client, schema);
    if (schema !== undefined) await makeSchema(client, schema);
    const applied = await appliedIn(client);
    const count = countApplied(applied?.names ?? [], migrations, where);
    if (count === 0 && marker?.isThere) throw lostError(where, "empty", marker);
    if (applied) assertWhole(applied.shape, await shapeOf(client), where);
    else await client.query(versionTable);
    for (const [index, { name, postgres }] of migrations.entries()) {
      if (index < count) continue;
      await askPatiently(client, postgres);
      await client.query(
        `INSERT INTO migrations (version, name, applied_at_ms, shape)
          VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, $3)`,
        [index + 1, name, await shapeOf(client)],
      );
    }
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw foreignIfTaken(error, where);
  }
}

async function assertServer(client: ClientBase, where: string): Promise<void> {
  const { rows } = await client.query(
    "SELECT current_setting('server_version_num')::integer AS version, current_setting('server_encoding') AS encoding",
  );
  const { version, encoding } = rows[0];
  if (version < versionMin) throw refusal("store", `The store ${where} needs PostgreSQL 13 or later`);
  if (encoding !== "UTF8") throw refusal("store", `The store ${where} is encoded in ${encoding}: it has to be UTF8`);
}

/** Until the transaction ends. */
async function lock(client: ClientBase, schema: string | undefined): Promise<void> {
  const name = `flotilla migrations ${schema ?? ""}`;
  await askPatiently(client, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [name]);
}

/** For as long as the server may take, and not as long as it usually does. */
async function askPatiently(client: ClientBase, text: string, values: unknown[] = []): Promise<void> {
  const question = { text, values, query_timeout: migrationMsMax + silenceMs };
  await client.query(question);
}

/** `schema` is a plain name, see `PostgresPlace`. */
async function makeSchema(client: ClientBase, schema: string): Promise<void> {
  const { rows } = await client.query("SELECT to_regnamespace($1) IS NULL AS is_missing", [schema]);
  if (rows[0].is_missing) await client.query(`CREATE SCHEMA ${schema}`);
}

async function appliedIn(client: ClientBase): Promise<{ names: string[]; shape: string[] } | undefined> {
  const { rows: found } = await client.query(
    "SELECT to_regclass(format('%I.migrations', current_schema())) IS NOT NULL AS is_there",
  );
  if (!found[0].is_there) return undefined;
  const { rows } = await client.query("SELECT name, shape FROM migrations ORDER BY version");
  return { names: rows.map(({ name }) => name), shape: rows.at(-1)?.shape ?? [] };
}

async function shapeOf(client: ClientBase): Promise<string[]> {
  const { rows } = await client.query(shapeQuery);
  return rows[0].shape ?? [];
}

/** More than was there is the operator's own affair. */
function assertWhole(expected: readonly string[], present: readonly string[], where: string): void {
  const missing = expected.filter((part) => !present.includes(part));
  if (missing.length === 0) return;
  const message = `The store ${where} is damaged: it lacks ${missing.slice(0, 5).join(", ")}. Restore it from a backup`;
  throw refusal("store_damaged", message);
}

/** A table or function of that name is there, and we have not made it. */
function foreignIfTaken(error: unknown, where: string): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "42P07" && code !== "42723") return error;
  const message = `The store ${where} holds tables that are not this service's: give it a database or schema of its own`;
  return refusal("store_foreign", message, error);
}

function refusal(reason: string, message: string, cause?: unknown): FlotillaError {
  return new FlotillaError("failed_precondition", message, { reason, cause });
}
