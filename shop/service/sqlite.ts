import { chmodSync, closeSync, openSync, statSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { FlotillaError } from "@flotilla/kit";
import {
  type Compilable,
  type Dialect,
  DummyDriver,
  Kysely,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import { copySqlite } from "./sqlite-copy.ts";
import { closedError, damageError, openError } from "./sqlite-error.ts";
import { makeHealth, type OnHealth } from "./sqlite-health.ts";
import { type Migration, migrate } from "./sqlite-migration.ts";
import { makeUnits } from "./sqlite-units.ts";

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

/** Runs one query within the work it was given to, and returns its rows. It is of no use once that has ended. */
export type Run = <Row>(query: Compilable<Row>) => Row[];

/**
 * One SQLite file, owned by this process.
 *
 * Kysely builds and types the queries; it does not run them. `DatabaseSync` blocks, so a unit of work is one
 * synchronous function within a transaction: there is no await inside it at which another unit could run on the same
 * connection. The units of one turn of the event loop share a commit (`makeUnits`).
 */
export interface Sqlite<Tables> {
  /** For building queries; executing one of them throws. */
  readonly build: Kysely<Tables>;
  /**
   * Runs `work`, soon, and resolves when it is on disk. If it throws, nothing of it happened and the promise is rejected
   * with that; `unavailable` when the file is locked, or the disk is full or failing.
   */
  unit<T>(work: (run: Run) => Settled<T>): Promise<T>;
  /** Runs `work`, which only reads, at once: it sees what is committed, and nothing that is not. Rejects as `unit` does. */
  read<T>(work: (run: Run) => Settled<T>): Promise<T>;
  /** Whether what is written now is likely to be kept. While it is not, a write is tried every second. */
  isWritable(): boolean;
  /** Copies all that is committed to the new file `to`, while units go on; see `copySqlite`. */
  copyTo(to: string): Promise<void>;
  /** Frees the file, after what was asked for before. Later units are rejected with `unavailable`. */
  close(): void;
}

/** What is not a promise: a unit that awaited would commit before it was done. */
type Settled<T> = T extends PromiseLike<unknown> ? never : T;

/**
 * Opens or makes `file`, readable by its owner only, and brings its schema up to the last of `migrations`. Throws
 * `unavailable` when another process has it, and `failed_precondition` when it is damaged or not of this code. Reads a
 * file of up to `checkedBytesMax` once, to check its structure; a damaged page of a larger one is found when it is read.
 * SQLite keeps no checksums, so a flipped bit within a value is not found. `:memory:` is a store that is gone with the process.
 */
export function openSqlite<Tables>(
  file: string,
  migrations: readonly Migration[],
  onHealth?: OnHealth,
): Sqlite<Tables> {
  let db: DatabaseSync | undefined;
  try {
    if (file !== inMemory) secureFile(file);
    db = new DatabaseSync(file, { timeout: busyMsMax });
    db.exec(pragmas);
    if (file === inMemory || statSync(file).size <= checkedBytesMax) checkIntegrity(db, file);
    migrate(db, file, migrations);
    return makeSqlite(db, onHealth);
  } catch (error) {
    db?.close();
    throw openError(error, file);
  }
}

/** SQLite gives the journal beside it the same mode. */
function secureFile(file: string): void {
  try {
    closeSync(openSync(file, "wx", 0o600));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) {
      const message = `The store ${file} cannot be made`;
      throw new FlotillaError("failed_precondition", message, { reason: "store", cause: error });
    }
    // By path: closing a descriptor of a file drops the locks that this process holds on it.
    if (process.platform !== "win32") chmodSync(file, 0o600);
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

  function prepare(sql: string): StatementSync {
    const known = statements.get(sql);
    if (known) return known;
    if (statements.size >= statementsMax) statements.clear();
    const statement = db.prepare(sql);
    statements.set(sql, statement);
    return statement;
  }

  /** Which kind of work runs now; it is synchronous, so there is one at a time. */
  let running: "unit" | "read" | undefined;

  const run: Run = <Row>(query: Compilable<Row>): Row[] => {
    const { sql, parameters } = query.compile();
    if (running === undefined) throw new Error("a query ran outside its unit of work");
    if (running === "read" && !sql.startsWith("select")) throw new Error("what only reads would have written");
    return prepare(sql).all(...(parameters as SQLInputValue[])) as Row[];
  };

  function runAs<T>(kind: "unit" | "read", work: (run: Run) => T): T {
    running = kind;
    try {
      return work(run);
    } finally {
      running = undefined;
    }
  }

  return {
    build: new Kysely<Tables>({ dialect: buildOnlyDialect }),
    unit: (work) => units.add(() => runAs("unit", work)),
    async read(work) {
      if (!db.isOpen) throw closedError();
      try {
        return runAs("read", work);
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

/**
 * A query that is built and compiled once, for what runs often: Kysely spends more on a query than SQLite (measured 68 µs
 * of 129 for an order). `make` gets stand-ins for the values of `Values`, to be compared with or inserted only.
 */
export function prepared<Values extends object, Row>(
  make: (values: Values) => Compilable<Row>,
): (values: Values) => Compilable<Row> {
  const slots = new Proxy({}, { get: (_target, name) => new Slot(name as string) }) as Values;
  const compiled = make(slots).compile();
  const { parameters } = compiled;
  return (values) => ({
    compile: () => ({
      ...compiled,
      parameters: parameters.map((it) => (it instanceof Slot ? values[it.name as keyof Values] : it)),
    }),
  });
}

class Slot {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

class BuildOnlyDriver extends DummyDriver {
  override async acquireConnection(): Promise<never> {
    throw new Error("this query builder does not execute: give the query to the unit's run");
  }
}

const buildOnlyDialect: Dialect = {
  createAdapter: () => new SqliteAdapter(),
  createDriver: () => new BuildOnlyDriver(),
  createIntrospector: (db) => new SqliteIntrospector(db),
  createQueryCompiler: () => new SqliteQueryCompiler(),
};
