import { FlotillaError } from "@flotilla/kit";
import type { Mode, ServiceName } from "../topology.ts";
import { type Database, makeBuilder, run, type Work } from "./database.ts";
import type { Migration } from "./migration.ts";

/** The label that a store carries from its first start on. */
export interface StoreLabel {
  readonly service: ServiceName;
  /** The mode of its first start. */
  readonly mode: Mode;
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
}

interface LabelTables {
  label: { id: number; service: ServiceName; mode: Mode; created_at_ms: number };
  migrations: { version: number; applied_at_ms: number };
}

/** A step of every service's schema. The table has one row, which never changes. */
export const label: Migration = {
  name: "label",
  sqlite: `
    CREATE TABLE label (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      service TEXT NOT NULL,
      mode TEXT NOT NULL CHECK (mode IN ('development', 'production')),
      created_at_ms INTEGER NOT NULL
    ) STRICT;
  `,
  postgres: `
    CREATE TABLE label (
      id integer PRIMARY KEY CHECK (id = 1),
      service text NOT NULL,
      mode text NOT NULL CHECK (mode IN ('development', 'production')),
      created_at_ms bigint NOT NULL
    );
  `,
};

export interface Labelling {
  readonly service: ServiceName;
  /** The mode of this start. */
  readonly mode: Mode;
  /** The mode that an unlabelled store shows by its content; undefined when it shows none. */
  readonly shownMode?: (() => Work<Mode | undefined>) | undefined;
}

/** The label of the store. A store without one, new or of an earlier version, gets it now. */
export async function labelOf(db: Database<never>, { service, mode, shownMode }: Labelling): Promise<StoreLabel> {
  const build = makeBuilder<LabelTables>(db.dialect);
  const labels = build.selectFrom("label").select(["service", "mode", "created_at_ms as createdAtMs"]);
  const [known] = await db.read(labels);
  if (known) return known;
  const add = function* (): Work<StoreLabel> {
    // Another instance may have been first.
    const [other] = yield* run(labels);
    if (other) return other;
    const steps = build.selectFrom("migrations").select("applied_at_ms").orderBy("version").limit(1);
    const [first] = yield* run(steps);
    const shown = shownMode && (yield* shownMode());
    const row = { id: 1, service, mode: shown ?? mode, created_at_ms: first!.applied_at_ms };
    yield* run(build.insertInto("label").values(row));
    return { service, mode: row.mode, createdAtMs: row.created_at_ms };
  };
  return await db.unit(add, { isRepeatable: true });
}

/**
 * SECURITY: a store that was made in production never runs in development, which would give it users with a password
 * that everyone knows. The reverse is for the service to judge: see `assertNoDemoUsers`.
 */
export function assertMayStart(found: StoreLabel, { service, mode }: Labelling, where: string): void {
  if (found.service !== service) {
    throw refusal("store_foreign", `The store ${where} belongs to the ${found.service} service, not to ${service}`);
  }
  if (found.mode === "production" && mode === "development") {
    const message =
      `The store ${where} was made in production, and this start is in development mode. Set ` +
      "FLOTILLA_MODE=production, or choose another data directory for development (FLOTILLA_DATA)";
    throw refusal("store_mode", message);
  }
}

function refusal(reason: string, message: string): FlotillaError {
  return new FlotillaError("failed_precondition", message, { reason });
}
