import { FlotillaError, reasonOf } from "@flotilla/kit";
import type { Generated } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PostgresServer, startPostgres, whyNoPostgres } from "../../tests/postgres.ts";
import { run } from "./database.ts";
import type { Migration } from "./migration.ts";
import { openPostgres, type Postgres } from "./postgres.ts";
import { PostgresPlace } from "./postgres-place.ts";

interface Tables {
  notes: { id: Generated<number>; text: string };
}

const step = (name: string, postgres: string): Migration => ({ name, sqlite: "", postgres });
const first = step(
  "notes",
  "CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL)",
);
const second = step("first note", "INSERT INTO notes (text) VALUES ('first')");

describe.skipIf(whyNoPostgres)(`a database of PostgreSQL${whyNoPostgres ? ` (${whyNoPostgres})` : ""}`, () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const open = (place: PostgresPlace, migrations: readonly Migration[] = [first]) =>
    openPostgres<Tables>(place, migrations, { patienceMs: 2_000 });
  const add = (db: Postgres<Tables>, text: string) =>
    db.unit(function* () {
      return (yield* run(db.build.insertInto("notes").values({ text }).returning("id")))[0]!.id;
    });
  const texts = async (db: Postgres<Tables>) =>
    (await db.read(db.build.selectFrom("notes").select("text").orderBy("id"))).map(({ text }) => text);
  const refusalOf = (opening: Promise<Postgres<Tables>>) =>
    opening.then(
      async (db) => {
        await db.close();
        return undefined;
      },
      (error: unknown) => error as FlotillaError,
    );

  describe("a unit of work", () => {
    it("is kept when it returns and undone when it throws", async () => {
      await using db = disposable(await open(server.place()));
      expect(await add(db, "kept")).toBe(1);
      const undone = db.unit(function* () {
        yield* run(db.build.insertInto("notes").values({ text: "undone" }));
        throw new FlotillaError("aborted", "changed its mind");
      });
      await expect(undone).rejects.toMatchObject({ code: "aborted" });
      expect(await texts(db)).toEqual(["kept"]);
    });

    it("has the outcome of one after the other, from two instances that do many at once", async () => {
      const place = server.place();
      await using one = disposable(await open(place));
      await using other = disposable(await open(place));
      const increment = (db: Postgres<Tables>) =>
        db.unit(function* () {
          const count = db.build.selectFrom("notes").select((eb) => eb.fn.countAll<number>().as("n"));
          const { n } = (yield* run(count))[0]!;
          yield* run(db.build.insertInto("notes").values({ text: `${n}` }));
        });
      await Promise.all(Array.from({ length: 20 }, (_, n) => increment(n % 2 ? one : other)));
      const all = (await texts(one)).map(Number).sort((a, b) => a - b);
      expect(all).toEqual(Array.from({ length: 20 }, (_, n) => n));
    });

    it("that says it writes once does not write twice", async () => {
      await using db = disposable(await open(server.place()));
      const twice = db.unit(
        function* () {
          yield* run(db.build.insertInto("notes").values({ text: "one" }));
          yield* run(db.build.insertInto("notes").values({ text: "two" }));
        },
        { writesOnce: true },
      );
      await expect(twice).rejects.toThrow("written twice");
    });

    it("is rejected as unavailable after close, which waits for what was asked before", async () => {
      const place = server.place();
      const db = await open(place);
      const asked = Array.from({ length: 50 }, (_, n) => add(db, `${n}`));
      await db.close();
      await Promise.all(asked);
      await db.close();
      await expect(add(db, "late")).rejects.toMatchObject({ code: "unavailable" });
      await using again = disposable(await open(place));
      expect(await texts(again)).toHaveLength(50);
    });

    it("fails with a code and none of the driver's words", async () => {
      await using db = disposable(await open(server.place()));
      const wrong = await db.read(db.build.selectFrom("absent" as never).selectAll()).catch((error: unknown) => error);
      expect(wrong).toMatchObject({ code: "internal", message: "The store failed", cause: { code: "42P01" } });
      await expect(add(db, "a\0b")).rejects.toMatchObject({ code: "invalid_argument" });
      expect(await texts(db)).toEqual([]);
    });

    it("cannot write where it says that it reads, nor execute by the builder", async () => {
      await using db = disposable(await open(server.place()));
      await expect(db.read(db.build.insertInto("notes").values({ text: "x" }))).rejects.toThrow("only reads");
      await expect(db.build.selectFrom("notes").selectAll().execute()).rejects.toThrow("does not execute");
    });
  });

  describe("opening it", () => {
    it("applies each step once, in order, though ten instances start at once", async () => {
      const place = server.place();
      const stores = await Promise.all(Array.from({ length: 10 }, () => open(place, [first, second])));
      for (const db of stores) expect(await texts(db)).toEqual(["first"]);
      await Promise.all(stores.map((db) => db.close()));
    });

    it("leaves no half of a step that failed", async () => {
      const place = server.place();
      await (await open(place)).close();
      const broken = step("broken", "INSERT INTO notes (text) VALUES ('half'); SELECT nothing");
      expect(await refusalOf(open(place, [first, broken]))).toMatchObject({
        code: "failed_precondition",
        reason: "store",
      });
      await using db = disposable(await open(place));
      expect(await texts(db)).toEqual([]);
    });

    it("refuses what newer code wrote, what is another service's, and tables that nobody knows", async () => {
      const place = server.place();
      await (await open(place, [first, second])).close();
      const newer = await refusalOf(open(place));
      expect(newer).toMatchObject({ code: "failed_precondition", reason: "store_too_new" });
      expect(newer?.message).toContain(`127.0.0.1:${server.port}/postgres`);
      expect(reasonOf(await refusalOf(open(place, [step("orders", ""), second])))).toBe("store_foreign");
      await server.sql("CREATE SCHEMA strangers; CREATE TABLE strangers.notes (id integer)");
      const strangers = new PostgresPlace(`${server.url()}?schema=strangers`);
      expect(await refusalOf(open(strangers))).toMatchObject({ code: "failed_precondition", reason: "store_foreign" });
      expect(await server.sql("SELECT * FROM pg_tables WHERE schemaname = 'strangers'")).toHaveLength(1);
    });

    it.each([
      ["a column", "ALTER TABLE notes DROP COLUMN text", "column notes.text"],
      ["a key", "ALTER TABLE notes DROP CONSTRAINT notes_pkey", "constraint notes.notes_pkey"],
      ["an index", "DROP INDEX notes_by_text", "index notes_by_text"],
      ["a trigger that is there and off", "ALTER TABLE notes DISABLE TRIGGER guard", "trigger notes.guard"],
    ])("refuses one that has lost %s, and says which", async (_, damage, lost) => {
      const place = server.place();
      const guarded = step(
        "guarded",
        `CREATE INDEX notes_by_text ON notes (text);
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER guard BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION refuse();`,
      );
      await (await open(place, [first, guarded])).close();
      await (await open(place, [first, guarded])).close();
      await server.sql(`SET search_path = ${place.schema}; ${damage}`);
      const refusal = await refusalOf(open(place, [first, guarded]));
      expect(refusal).toMatchObject({ code: "failed_precondition", reason: "store_damaged" });
      expect(refusal?.message).toContain(lost);
    });

    it("needs no right to create anything when there is nothing to do", async () => {
      const place = server.place();
      await (await open(place)).close();
      await server.sql(`CREATE ROLE clerk LOGIN; GRANT USAGE ON SCHEMA ${place.schema} TO clerk;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${place.schema} TO clerk`);
      const url = server.url().replace("postgres@", "clerk@");
      await using db = disposable(await open(new PostgresPlace(`${url}?schema=${place.schema}`)));
      expect(await add(db, "by the clerk")).toBe(1);
    });

    it("says where nobody listens and what the server says, without the password", async () => {
      const url = `postgres://postgres:hunter2@127.0.0.1:${server.port}/absent`;
      const refusal = await refusalOf(openPostgres(new PostgresPlace(url), [first], { patienceMs: 300 }));
      expect(refusal).toMatchObject({ code: "unavailable", reason: "store" });
      expect(refusal?.message).toMatch(/127\.0\.0\.1:\d+\/absent.*database "absent" does not exist/);
      expect(refusal?.message).not.toContain("hunter2");
      const nobody = new PostgresPlace("postgres://postgres@127.0.0.1:1/orders");
      const nowhere = await refusalOf(openPostgres(nobody, [first], { patienceMs: 300 }));
      expect(nowhere?.message).toContain("ECONNREFUSED");
    });

    it("is possible over a Unix socket", async () => {
      const url = `postgres://postgres@/postgres?host=${server.directory}&port=${server.port}&schema=by_socket`;
      await using db = disposable(await open(new PostgresPlace(url)));
      expect(await add(db, "here")).toBe(1);
    });
  });

  it("answers what reads while many units wait for their turn", async () => {
    const place = server.place();
    await using db = disposable(await open(place));
    const stranger = new pg.Client({ connectionString: server.url() });
    await stranger.connect();
    await stranger.query(`BEGIN; LOCK TABLE ${place.schema}.migrations IN SHARE ROW EXCLUSIVE MODE`);
    const asked = Array.from({ length: 100 }, (_, n) => add(db, `${n}`));
    for (let n = 0; n < 20; n++) expect(await texts(db)).toEqual([]);
    await stranger.end();
    await Promise.all(asked);
    expect(new Set(await texts(db)).size).toBe(100);
  });

  it("commits to disk before it says so, even if the server's default is another", async () => {
    await server.sql("ALTER ROLE postgres SET synchronous_commit = off");
    try {
      await using db = disposable(await open(server.place()));
      const shown = db.unit(function* () {
        return yield* run({
          compile: () => ({ ...db.build.selectFrom("notes").selectAll().compile(), sql: "SHOW synchronous_commit" }),
        });
      });
      expect(await shown).toEqual([{ synchronous_commit: "on" }]);
    } finally {
      await server.sql("ALTER ROLE postgres RESET synchronous_commit");
    }
  });
});

function disposable<Tables>(db: Postgres<Tables>): Postgres<Tables> & AsyncDisposable {
  return { ...db, [Symbol.asyncDispose]: () => db.close() };
}
