import { randomBytes } from "node:crypto";
import { chmodSync, closeSync, existsSync, linkSync, openSync, statSync, unlinkSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { FlotillaError } from "@flotilla/kit";
import type { Compilable } from "kysely";
import { assertReads, type Database, makeBuilder, type Work } from "./database.ts";
import type { Migration } from "./migration.ts";
import { copySqlite } from "./sqlite-copy.ts";
import { closedError, damageError, openError } from "./sqlite-error.ts";
import { makeHealth, type OnHealth } from "./sqlite-health.ts";
import { migrate } from "./sqlite-migration.ts";
import { makeUnits } from "./sqlite-units.ts";
import { lostError, type StoreMarker } from "./store-marker.ts";

/** How long opening waits for a predecessor that is closing. It blocks the event loop, so it is short. Milliseconds. */
const busyMsMax = 1_000;
/** SQLite's word for a database without a file. */
const inMemory = ":memory:";
/** A larger file is not read as a whole at every start: 3.7 million orders took more than a second. 0.1 s. Bytes. */
const checkedBytesMax = 64 * 2 ** 20;
/** Compiled statements kept; our queries have far fewer texts, except inserts of 1 to 100 rows. */
const statementsMax = 256;

/**
 * LOCKING_MODE first: set before WAL is entered, one process has the file to itself until it closes or dies, and WAL
 * needs no shared memory. SYNCHRONOUS: an acknowledged unit survives loss of power; FULLFSYNC says the same on a Mac.
 * TEMP_STORE: what a savepoint might have to put back is kept in memory; in a file it was 30 of 36 KiB written for an order.
 * CELL_SIZE_CHECK finds a damaged page when it is read.
 */
const pragmas = `
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA fullfsync = ON;
  PRAGMA temp_store = MEMORY;
  PRAGMA foreign_keys = ON;
  PRAGMA trusted_schema = OFF;
  PRAGMA cell_size_check = ON;`;

/**
 * One SQLite file, owned by this process.
 *
 * `DatabaseSync` blocks, so a unit of work runs to its end within a transaction: there is no await inside it at which
 * another unit could run on the same connection. The units of one turn of the event loop share a commit (`makeUnits`);
 * a read runs at once.
 */
export interface Sqlite<Tables> extends Database<Tables> {
  /** Whether what is written now is likely to be kept. While it is not, a write is tried every second. */
  isWritable(): boolean;
  /** Copies all that is committed to the new file `to`, while units go on; see `copySqlite`. */
  copyTo(to: string): Promise<void>;
  close(): void;
}

export interface SqliteOptions {
  readonly onHealth?: OnHealth | undefined;
  /** The marker of an earlier start: with it an empty store is not taken for a new one. */
  readonly marker?: StoreMarker | undefined;
}

/**
 * Opens or makes `file`, readable by its owner only, and brings its schema up to the last of `migrations`. Throws
 * `unavailable` when another process has it, and `failed_precondition` when it is damaged, emptied, lost (reason
 * `store_lost`) or not of this code. Reads a
 * file of up to `checkedBytesMax` once, to check its structure; a damaged page of a larger one is found when it is read.
 * SQLite keeps no checksums, so a flipped bit within a value is not found. `:memory:` is a store that is gone with the process.
 */
export function openSqlite<Tables>(
  file: string,
  migrations: readonly Migration[],
  { onHealth, marker }: SqliteOptions = {},
): Sqlite<Tables> {
  let db: DatabaseSync | undefined;
  try {
    if (file !== inMemory) secureFile(file, marker);
    db = new DatabaseSync(file, { timeout: busyMsMax });
    db.exec(pragmas);
    if (file === inMemory || statSync(file).size <= checkedBytesMax) checkIntegrity(db, file);
    migrate(db, migrations, { file, marker });
    return makeSqlite(db, onHealth);
  } catch (error) {
    db?.close();
    throw openError(error, file);
  }
}

/** SQLite gives the journal beside it the same mode. */
function secureFile(file: string, marker: StoreMarker | undefined): void {
  if (!existsSync(file)) {
    // A journal without its store holds the last of what was committed: a new store would overwrite it.
    if (marker?.isThere || existsSync(`${file}-wal`)) throw lostError(file, "missing", marker);
    makeFile(file);
    return;
  }
  if (statSync(file).size === 0) throw lostError(file, "empty", marker);
  // By path: closing a descriptor of a file drops the locks that this process holds on it.
  if (process.platform !== "win32") chmodSync(file, 0o600);
}

/** The file has its name once it is a database, however it is cut short: so an empty one was emptied. */
function makeFile(file: string): void {
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  try {
    closeSync(openSync(draft, "wx", 0o600));
    try {
      using db = new DatabaseSync(draft);
      db.exec("PRAGMA journal_mode = WAL");
      db.close();
      linkSync(draft, file);
    } finally {
      unlinkSync(draft);
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return;
    throw new FlotillaError("failed_precondition", `The store ${file} cannot be made`, {
      reason: "store",
      cause: error,
    });
  }
}

function checkIntegrity(db: DatabaseSync, file: string): void {
  const findings = db.prepare("PRAGMA quick_check(10)").all();
  if (findings.length !== 1 || findings[0]?.quick_check !== "ok") {
    throw damageError(file, new Error(findings.map((finding) => finding.quick_check).join("; ")));
  }
}

/** Writes a page that was not changed, which takes all that any write does. */
const writeNothing = "UPDATE migrations SET applied_at_ms = applied_at_ms WHERE version = 1";

function makeSqlite<Tables>(db: DatabaseSync, onHealth?: OnHealth): Sqlite<Tables> {
  const statements = new Map<string, StatementSync>();
  const health = makeHealth(() => void units.add(() => db.exec(writeNothing)).catch(() => {}), onHealth);
  const units = makeUnits(db, health);
  let revision = 0;

  function prepare(sql: string): StatementSync {
    const known = statements.get(sql);
    if (known) return known;
    if (statements.size >= statementsMax) statements.clear();
    const statement = db.prepare(sql);
    statements.set(sql, statement);
    return statement;
  }

  function rowsOf<Row>(query: Compilable<Row>, check?: (sql: string) => void): Row[] {
    const { sql, parameters } = query.compile();
    check?.(sql);
    return prepare(sql).all(...(parameters as SQLInputValue[])) as Row[];
  }

  function runAll<T>(work: Work<T>): T {
    let step = work.next();
    while (!step.done) step = work.next(rowsOf(step.value));
    return step.value;
  }

  return {
    dialect: "sqlite",
    get revision() {
      return health.state === "well" && db.isOpen ? revision : undefined;
    },
    build: makeBuilder<Tables>("sqlite"),
    unit: (work) =>
      units.add(() => {
        revision += 1;
        return runAll(work());
      }),
    async read(query) {
      if (!db.isOpen) throw closedError();
      try {
        return rowsOf(query, assertReads);
      } catch (error) {
        throw health.failed(error);
      }
    },
    isWritable: () => health.state === "well",
    async copyTo(to) {
      if (!db.isOpen) throw closedError();
      await copySqlite(db, to);
    },
    close() {
      health.close();
      if (db.isOpen) units.flush();
      statements.clear();
      if (db.isOpen) db.close();
    },
  };
}
