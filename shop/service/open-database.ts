import type { Mode, ServiceName } from "../topology.ts";
import type { Database, Work } from "./database.ts";
import type { Migration } from "./migration.ts";
import { openPostgres } from "./postgres.ts";
import type { PostgresPlace } from "./postgres-place.ts";
import { openSqlite } from "./sqlite.ts";
import type { OnHealth } from "./sqlite-health.ts";
import { assertMayStart, labelOf } from "./store-label.ts";
import { assertSameKind, findMarker, leaveMarker, type OpenedStore } from "./store-marker.ts";

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
 * with `failed_precondition`, reason `store_lost`, one of another kind than the marker's with `store_elsewhere`, and one made
 * in production in a start in development with `store_mode`.
 */
export async function openDatabase<Tables>(
  where: string | PostgresPlace,
  migrations: readonly Migration[],
  { application, own, shownMode }: OpenOptions<Tables>,
): Promise<Database<Tables>> {
  const marker = own && findMarker(own.dataDir, own.service);
  const at = openedAt(where);
  if (marker) assertSameKind(marker, at);
  const db: Database<Tables> =
    typeof where === "string"
      ? openSqlite<Tables>(where, migrations, { onHealth: own?.onHealth, marker })
      : await openPostgres<Tables>(where, migrations, { application, marker });
  if (!own || !marker) return db;
  try {
    const labelling = { ...own, shownMode: shownMode && (() => shownMode(db)) };
    const label = await labelOf(db as unknown as Database<never>, labelling);
    assertMayStart(label, labelling, at.name);
    leaveMarker(marker, label, at);
    return db;
  } catch (error) {
    try {
      await db.close();
    } catch {
      // The refusal says what to do.
    }
    throw error;
  }
}

function openedAt(where: string | PostgresPlace): OpenedStore {
  if (typeof where === "string") return { dialect: "sqlite", name: where };
  return { dialect: "postgres", name: where.servers.map((server) => server.name).join(", ") };
}
