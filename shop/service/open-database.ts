import type { Database } from "./database.ts";
import type { Migration } from "./migration.ts";
import { openPostgres } from "./postgres.ts";
import type { PostgresPlace } from "./postgres-place.ts";
import { openSqlite } from "./sqlite.ts";

/**
 * The database of one service, at `where`: a file of SQLite by its path, or a place of PostgreSQL. See `openSqlite` and
 * `openPostgres` for what makes it refuse to open.
 */
export async function openDatabase<Tables>(
  where: string | PostgresPlace,
  migrations: readonly Migration[],
  application: string,
): Promise<Database<Tables>> {
  if (typeof where === "string") return openSqlite<Tables>(where, migrations);
  return await openPostgres<Tables>(where, migrations, { application });
}
