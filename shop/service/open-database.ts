import type { Database } from "./database.ts";
import type { Migration } from "./migration.ts";
import { openPostgres } from "./postgres.ts";
import type { PostgresPlace } from "./postgres-place.ts";
import { openSqlite } from "./sqlite.ts";
import type { OnHealth } from "./sqlite-health.ts";

/**
 * The database of one service, at `where`: a file of SQLite by its path, or a place of PostgreSQL. See `openSqlite` and
 * `openPostgres` for what makes it refuse to open. `onHealth` hears how a file does.
 */
export async function openDatabase<Tables>(
  where: string | PostgresPlace,
  migrations: readonly Migration[],
  { application, onHealth }: { readonly application: string; readonly onHealth?: OnHealth | undefined },
): Promise<Database<Tables>> {
  if (typeof where === "string") return openSqlite<Tables>(where, migrations, onHealth);
  return await openPostgres<Tables>(where, migrations, { application });
}
