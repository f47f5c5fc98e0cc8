import type { DatabaseSync } from "node:sqlite";
import { countApplied, type Migration } from "./migration.ts";
import { lostError, type StoreMarker } from "./store-marker.ts";

const versionTable = `
  CREATE TABLE IF NOT EXISTS migrations (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at_ms INTEGER NOT NULL
  ) STRICT`;

/**
 * Brings `db` up to the last of `migrations`, each in one transaction with its version row, so a kill leaves it at one
 * version or the next. Throws `failed_precondition` for a store that newer code wrote, that is another service's, or that
 * has no schema although `marker` says that there was one.
 */
export function migrate(
  db: DatabaseSync,
  migrations: readonly Migration[],
  { file, marker }: { readonly file: string; readonly marker: StoreMarker | undefined },
): void {
  db.exec(versionTable);
  const names = db.prepare("SELECT name FROM migrations ORDER BY version").all();
  const applied = countApplied(
    names.map(({ name }) => String(name)),
    migrations,
    file,
  );
  if (applied === 0 && marker?.isThere) throw lostError(file, "empty", marker);
  const record = db.prepare(
    "INSERT INTO migrations (version, name, applied_at_ms) VALUES (?, ?, CAST(unixepoch('subsec') * 1000 AS INTEGER))",
  );
  for (const [index, migration] of migrations.entries()) {
    if (index < applied) continue;
    db.exec("BEGIN IMMEDIATE");
    try {
      db.exec(migration.sqlite);
      record.run(index + 1, migration.name);
      db.exec("COMMIT");
    } catch (error) {
      if (db.isTransaction) db.exec("ROLLBACK");
      throw error;
    }
  }
}
