import type { Mode, ServiceName } from "../topology.ts";
import type { Database, Work } from "./database.ts";
import type { Migration } from "./migration.ts";
import { openPostgres } from "./postgres.ts";
import type { PostgresPlace } from "./postgres-place.ts";
import { openSqlite } from "./sqlite.ts";
import type { OnHealth } from "./sqlite-health.ts";
import { assertMayStart, labelOf } from "./store-label.ts";
import { findMarker, leaveMarker } from "./store-marker.ts";

/** The store of a service that starts: what is known of it besides its place. */
export interface OwnStore {
  readonly service: ServiceName;
  /** The mode of this start. */
  readonly mode: Mode;
  /** Where the marker of an earlier start is looked for, and left. */
  readonly dataDir: string;
  /** Hears how a file does. */
  readonly onHealth?: OnHealth | undefined;
}

export interface OpenOptions<Tables> {
  readonly application: string;
  /** Absent for a store that is no service's: it gets no label and leaves no marker. */
  readonly own?: OwnStore | undefined;
  /** The mode that a store without a label shows by its content. */
  readonly shownMode?: (db: Database<Tables>) => Work<Mode | undefined>;
}

/**
 * The database of one service, at `where`: a file of SQLite by its path, or a place of PostgreSQL. See `openSqlite` and
 * `openPostgres` for what makes it refuse to open. One that is empty although an earlier start left its marker is refused
 * with `failed_precondition`, reason `store_lost`, and one made in production in a start in development with `store_mode`.
 */
export async function openDatabase<Tables>(
  where: string | PostgresPlace,
  migrations: readonly Migration[],
  { application, own, shownMode }: OpenOptions<Tables>,
): Promise<Database<Tables>> {
  const marker = own && findMarker(own.dataDir, own.service);
  const db: Database<Tables> =
    typeof where === "string"
      ? openSqlite<Tables>(where, migrations, { onHealth: own?.onHealth, marker })
      : await openPostgres<Tables>(where, migrations, { application, marker });
  if (!own || !marker) return db;
  try {
    const name = typeof where === "string" ? where : where.servers.map((server) => server.name).join(", ");
    const labelling = { ...own, shownMode: shownMode && (() => shownMode(db)) };
    const label = await labelOf(db as unknown as Database<never>, labelling);
    assertMayStart(label, labelling, name);
    leaveMarker(marker, label, name);
    return db;
  } catch (error) {
    await db.close();
    throw error;
  }
}
