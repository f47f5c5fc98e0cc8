import {
  type Compilable,
  type Dialect,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";

export type DialectName = "sqlite" | "postgres";

/**
 * What a unit of work does, step by step: it yields queries and is given their rows. It does not know who runs them, so
 * the same steps run without a pause on SQLite, which blocks, and with waiting on PostgreSQL. There is nothing to await
 * in it; a query that fails ends it.
 */
export type Work<T> = Generator<Compilable<unknown>, T, unknown[]>;

/** A step of a unit of work: the rows of `query`. */
export function* run<Row>(query: Compilable<Row>): Work<Row[]> {
  return (yield query) as Row[];
}

export interface UnitOptions {
  /** Doing it twice is doing it once: it is repeated also when nobody can know whether it was committed. */
  readonly isRepeatable?: boolean;
  /**
   * At most one of its queries writes, and what it read before may be another by then: it is right without a
   * transaction around it. PostgreSQL then saves the round trips of one.
   */
  readonly writesOnce?: boolean;
}

/** What a store that is a file can tell of itself; others leave it out. */
export interface StoreFile {
  /** Whether what is written now is likely to be kept. Absent where it always is, or nobody knows. */
  isWritable?(): boolean;
  /** Copies the store, which goes on, to a new file. Absent where it is no file. */
  copyTo?(file: string): Promise<void>;
}

/** That part of a store's or database's. */
export function asFile({ isWritable, copyTo }: StoreFile): StoreFile {
  return { ...(isWritable && { isWritable }), ...(copyTo && { copyTo }) };
}

/** A database of one service. Kysely builds and types the queries; it does not run them. */
export interface Database<Tables> extends StoreFile {
  readonly dialect: DialectName;
  /**
   * Grows with each unit that is begun: while it stays, a query gives what it gave before. Undefined where other processes
   * write too, and while the database is not well.
   */
  readonly revision: number | undefined;
  /** For building queries; executing one of them throws. */
  readonly build: Kysely<Tables>;
  /**
   * Does `work` as one unit and resolves when it is kept. If it throws, nothing of it happened and the promise is
   * rejected with that. It may be begun several times. Rejects with `unavailable` when the database cannot be used now.
   */
  unit<T>(work: () => Work<T>, options?: UnitOptions): Promise<T>;
  /** The rows of one query that only reads: it sees what is committed, and nothing that is not. Rejects as `unit` does. */
  read<Row>(query: Compilable<Row>): Promise<Row[]>;
  /** Lets go of it, after what was asked for before. Later units are rejected with `unavailable`. */
  close(): void | Promise<void>;
}

/** Whether `sql` only reads. */
export function reads(sql: string): boolean {
  return sql.startsWith("select");
}

/** Throws unless `sql` only reads. */
export function assertReads(sql: string): void {
  if (!reads(sql)) throw new Error("what only reads would have written");
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
    throw new Error("this query builder does not execute: give the query to a unit");
  }
}

const dialects: Record<DialectName, Dialect> = {
  sqlite: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new BuildOnlyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
  postgres: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new BuildOnlyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
};

/** Builds queries in the words of `dialect`, and runs none. */
export function makeBuilder<Tables>(dialect: DialectName): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: dialects[dialect] });
}
