import type { DatabaseSync } from "node:sqlite";
import { FlotillaError } from "@flotilla/kit";

/** One step of a schema. Its version is its place in the service's list, from 1; a published step never changes. */
export interface Migration {
  readonly name: string;
  readonly sql: string;
}

const versionTable = `
  CREATE TABLE IF NOT EXISTS migrations (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at_ms INTEGER NOT NULL
  ) STRICT`;

/**
 * Brings `db` up to the last of `migrations`, each in one transaction with its version row, so a kill leaves it at one
 * version or the next. Throws `failed_precondition` for a store that newer code wrote or that is another service's.
 */
export function migrate(db: DatabaseSync, file: string, migrations: readonly Migration[]): void {
  db.exec(versionTable);
  const applied = db.prepare("SELECT name FROM migrations ORDER BY version").all();
  if (applied.length > migrations.length) {
    const versions = `version ${applied.length}, and this code knows ${migrations.length}`;
    throw refusal("store_too_new", `The store ${file} was written by newer code (${versions}); start that code`);
  }
  for (const [index, { name }] of applied.entries()) {
    if (name === migrations[index]?.name) continue;
    throw refusal("store_foreign", `The store ${file} is not this service's: its step ${index + 1} is "${name}"`);
  }
  const record = db.prepare(
    "INSERT INTO migrations (version, name, applied_at_ms) VALUES (?, ?, CAST(unixepoch('subsec') * 1000 AS INTEGER))",
  );
  for (const [index, migration] of migrations.entries()) {
    if (index < applied.length) continue;
    db.exec("BEGIN IMMEDIATE");
    try {
      db.exec(migration.sql);
      record.run(index + 1, migration.name);
      db.exec("COMMIT");
    } catch (error) {
      if (db.isTransaction) db.exec("ROLLBACK");
      throw error;
    }
  }
}

function refusal(reason: string, message: string): FlotillaError {
  return new FlotillaError("failed_precondition", message, { reason });
}
