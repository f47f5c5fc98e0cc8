import type { Generated } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type PostgresServer, startPostgres, whyNoPostgres } from "../../tests/postgres.ts";
import { run } from "./database.ts";
import { makeWire, terminate } from "./fixtures/postgres-wire.ts";
import { openPostgres, type Postgres } from "./postgres.ts";
import type { ConnectionLimits } from "./postgres-connections.ts";
import { PostgresPlace } from "./postgres-place.ts";

interface Tables {
  notes: { id: Generated<number>; text: string };
}

const notes = {
  name: "notes",
  sqlite: "",
  postgres: "CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL UNIQUE)",
};

describe.skipIf(whyNoPostgres)(
  `a database of PostgreSQL that fails${whyNoPostgres ? ` (${whyNoPostgres})` : ""}`,
  () => {
    let server: PostgresServer;
    let place: PostgresPlace;
    beforeAll(async () => {
      // Circles of units that wait for each other are looked for sooner than after a second.
      server = await startPostgres({ settings: ["deadlock_timeout=50ms"] });
    });
    afterAll(() => server[Symbol.asyncDispose]());
    beforeEach(() => {
      place = server.place();
    });

    const open = async (limits: Partial<ConnectionLimits> = {}, at = place, schema = notes) => {
      const db = await openPostgres<Tables>(at, [schema], limits);
      return { ...db, [Symbol.asyncDispose]: () => db.close() };
    };
    const add = (db: Postgres<Tables>, text: string, isRepeatable = false) =>
      db.unit(() => run(db.build.insertInto("notes").values({ text }).returning("id")), { isRepeatable });
    const texts = async (db: Postgres<Tables>) =>
      (await db.read(db.build.selectFrom("notes").select("text").orderBy("id"))).map(({ text }) => text);
    const slowly = (db: Postgres<Tables>, seconds: number) => db.read(raw(db, `select pg_sleep(${seconds})`));
    const raw = (db: Postgres<Tables>, sql: string) => ({
      compile: () => ({ ...db.build.selectFrom("notes").selectAll().compile(), sql }),
    });
    /** Somebody else at the same tables. */
    const connectStranger = async () => {
      const stranger = new pg.Client({ connectionString: server.url() });
      await stranger.connect();
      await stranger.query(`SET search_path = ${place.schema}`);
      return Object.assign(stranger, { [Symbol.asyncDispose]: () => stranger.end() });
    };
    const through = (...ports: number[]) => {
      const hosts = ports.map((port) => `127.0.0.1:${port}`).join(",");
      return new PostgresPlace(`postgres://postgres@${hosts}/postgres?schema=${place.schema}`);
    };
    const endAllSessions = () =>
      server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'flotilla'");

    it("ends all sessions again and again, and nobody who reads or repeats notices", async () => {
      await using db = await open();
      let isOver = false;
      let done = 0;
      const caller = async (name: string) => {
        for (let n = 0; !isOver; n++) {
          await db.unit(
            () =>
              run(
                db.build
                  .insertInto("notes")
                  .values({ text: `${name} ${n}` })
                  .onConflict((on) => on.doNothing()),
              ),
            {
              isRepeatable: true,
              writesOnce: n % 2 === 0,
            },
          );
          await texts(db);
          done += 1;
        }
        return name;
      };
      const callers = Array.from({ length: 8 }, (_, n) => caller(`${n}`));
      for (let kills = 0; kills < 10; kills++) {
        const before = done;
        await endAllSessions();
        while (done < before + 20) await texts(db);
      }
      isOver = true;
      await Promise.all(callers);
      expect(new Set(await texts(db)).size).toBe(done);
    });

    it("restarts, and what was asked for meanwhile is done when it is back", async () => {
      await using db = await open();
      await add(db, "before");
      await server.stop();
      const meanwhile = add(db, "meanwhile");
      const reading = texts(db);
      await server.start();
      await meanwhile;
      expect(await reading).toContain("before");
      expect(await texts(db)).toEqual(["before", "meanwhile"]);
    });

    it("is away: who waited long enough is told, who comes later at once, and it goes on by itself", async () => {
      await using db = await open({ patienceMs: 300 });
      await server.stop();
      await expect(add(db, "lost")).rejects.toMatchObject({
        code: "unavailable",
        retryable: true,
        message: "The store cannot be used now",
      });
      const startedMs = performance.now();
      for (let n = 0; n < 100; n++) await expect(texts(db)).rejects.toMatchObject({ code: "unavailable" });
      // A hundred that waited would have taken thirty seconds.
      expect(performance.now() - startedMs).toBeLessThan(10_000);
      await server.start();
      await expect.poll(() => texts(db).catch(() => "away"), { timeout: 10_000 }).toEqual([]);
      expect(await add(db, "there again")).toHaveLength(1);
    });

    it("takes too long over one query, which is ended, while others go on", async () => {
      await using db = await open({ statementMsMax: 300, connectionsMax: 4 });
      const slow = slowly(db, 60);
      const outcome = slow.catch((error: unknown) => error);
      for (let n = 0; n < 20; n++) await add(db, `${n}`);
      expect(await outcome).toMatchObject({ code: "unavailable", cause: { code: "57014" } });
      expect(await texts(db)).toHaveLength(20);
    });

    it("has no room for more connections: those that are there serve all, and more are opened when there is", async () => {
      await server.sql(`CREATE ROLE guest LOGIN CONNECTION LIMIT 3; GRANT ALL ON DATABASE postgres TO guest`);
      await using wire = await makeWire(server.port);
      const asGuest = new PostgresPlace(`postgres://guest@127.0.0.1:${wire.port}/postgres?schema=${place.schema}`);
      await using db = await open({ connectMsMax: 4_000 }, asGuest);
      const sessions = async () => {
        const all = await server.sql<{ pid: number }>("SELECT pid FROM pg_stat_activity WHERE usename = 'guest'");
        return all.map(({ pid }) => pid).sort();
      };
      const all = (count: number) => Promise.all(Array.from({ length: count }, () => slowly(db, 0.02)));
      const used = (count: number) =>
        expect.poll(() => all(10).then(sessions), { timeout: 10_000 }).toHaveLength(count);
      await used(3);
      const [before, connections] = [await sessions(), wire.connections];
      let seconds = 0;
      for (const startMs = performance.now(); seconds < 3; seconds = (performance.now() - startMs) / 1_000)
        await all(40);
      expect(await sessions()).toEqual(before);
      // Once a second some are tried, as many as wait at most. Without a pause it was hundreds a second.
      expect(wire.connections - connections).toBeLessThan(16 * (seconds + 2));
      await server.sql("ALTER ROLE guest CONNECTION LIMIT 6");
      await used(6);
    });

    it("takes too long to give a unit its turn, and the next that uses the connection does not hear of it", async () => {
      await using wire = await makeWire(server.port);
      await using db = await open({ statementMsMax: 300, connectionsMax: 1 }, through(wire.port));
      wire.dawdle();
      await using stranger = await connectStranger();
      await stranger.query("BEGIN; LOCK TABLE migrations");
      await expect(add(db, "too late")).rejects.toMatchObject({ code: "unavailable", cause: { code: "57014" } });
      expect(await texts(db)).toEqual([]);
      await stranger.query("ROLLBACK");
      await add(db, "in time");
    });

    it("has all its connections in use: who waits too long is told that it is busy, and the rest is served", async () => {
      await using db = await open({ connectionsMax: 2, connectMsMax: 200 });
      const slow = [slowly(db, 1), slowly(db, 1)];
      await expect(texts(db)).rejects.toMatchObject({ code: "resource_exhausted", reason: "store_busy" });
      await Promise.all(slow);
      expect(await texts(db)).toEqual([]);
    });

    it("has a unit see what somebody else changes meanwhile: it is begun anew", async () => {
      await using db = await open();
      await add(db, "old");
      await using stranger = await connectStranger();
      await stranger.query("SELECT pg_advisory_lock(7)");
      const seen: string[] = [];
      const change = db.unit(function* () {
        const [note] = yield* run(db.build.selectFrom("notes").select("text"));
        seen.push(note!.text);
        yield* run(raw(db, "select pg_advisory_xact_lock(7)"));
        yield* run(db.build.updateTable("notes").set({ text: `${note!.text} and changed` }));
      });
      const waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
      while ((await stranger.query(waiting)).rows.length === 0);
      await stranger.query("UPDATE notes SET text = 'new'");
      await stranger.query("SELECT pg_advisory_unlock(7)");
      await change;
      expect(seen).toEqual(["old", "new"]);
      expect(await texts(db)).toEqual(["new and changed"]);
    });

    it("has a unit and somebody else wait for each other: the unit is ended, and begun anew", async () => {
      await using db = await open();
      await add(db, "one");
      await add(db, "two");
      await using stranger = await connectStranger();
      await using keeper = await connectStranger();
      const [{ pid }] = (await stranger.query("SELECT pg_backend_pid() AS pid")).rows;
      // So it is the unit that finds the circle.
      await stranger.query("SET deadlock_timeout = '1min'");
      await keeper.query("SELECT pg_advisory_lock(7)");
      const waiting = async (which: string) => {
        const sql = `SELECT 1 FROM pg_locks WHERE NOT granted AND ${which}`;
        while ((await keeper.query(sql)).rows.length === 0);
      };
      const append = (text: string, id: number) => `update notes set text = text || '${text}' where id = ${id}`;
      let attempts = 0;
      const change = db.unit(function* () {
        attempts += 1;
        yield* run(raw(db, append(" of ours", 1)));
        yield* run(raw(db, "select pg_advisory_xact_lock(7)"));
        yield* run(raw(db, append(" of ours", 2)));
      });
      await waiting("locktype = 'advisory'");
      await stranger.query(`BEGIN; ${append(" of another", 2)}`);
      const other = stranger.query(`${append(" of another", 1)}; COMMIT`);
      // The unit looks for a circle once: this half of it must be there, and not only one of another test that is ending.
      await waiting(`pid = ${pid}`);
      await keeper.query("SELECT pg_advisory_unlock(7)");
      await Promise.all([change, other]);
      // Once more still where it meets what the other has just committed.
      expect(attempts).toBeGreaterThanOrEqual(2);
      expect((await texts(db)).sort()).toEqual(["one of another of ours", "two of another of ours"]);
    });

    it("ends a session at its commit: a unit that may have been committed is begun anew only if it is repeatable", async () => {
      await using db = await open();
      await using stranger = await connectStranger();
      await stranger.query(`
        CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION end_session()`);
      const attemptsOf = async (isRepeatable: boolean) => {
        let attempts = 0;
        const unit = db.unit(
          function* () {
            attempts += 1;
            yield* run(db.build.insertInto("notes").values({ text: "one" }).returning("id"));
          },
          { isRepeatable },
        );
        await expect(unit).rejects.toMatchObject({ code: "unavailable", reason: "store" });
        return attempts;
      };
      expect(await attemptsOf(false)).toBe(1);
      expect(await attemptsOf(true)).toBeGreaterThan(1);
    });

    it("is silent: all are told so when their time is over, and nobody that it is busy", async () => {
      await using wire = await makeWire(server.port);
      await using db = await open({ statementMsMax: 500, patienceMs: 2_000, connectMsMax: 200 }, through(wire.port));
      wire.mute(true);
      // The second time more than may run and wait, and the silence is known.
      for (const length of [12, 1_003]) {
        const told = await Promise.allSettled(Array.from({ length }, (_, n) => add(db, `${n}`)));
        for (const { reason } of told as PromiseRejectedResult[]) {
          expect(reason).toMatchObject({ code: "unavailable", reason: "store" });
        }
      }
    });

    it("is silent when the store is closed: who waits for another is not waited for", async () => {
      await using wire = await makeWire(server.port);
      const db = await open({ statementMsMax: 200, patienceMs: 3_600_000, connectMsMax: 200 }, through(wire.port));
      wire.mute(true);
      const adding = Promise.allSettled(Array.from({ length: 4 }, (_, n) => add(db, `${n}`, true)));
      await db.close();
      for (const { reason } of (await adding) as PromiseRejectedResult[]) {
        expect(reason).toMatchObject({ code: "unavailable" });
      }
    });

    it("takes longer over a step of the schema than over a query", async () => {
      const long = { ...notes, postgres: `${notes.postgres}; SELECT pg_sleep(2)` };
      await using db = await open({ statementMsMax: 200 }, place, long);
      expect(await texts(db)).toEqual([]);
    });

    describe("between us and it", () => {
      it("the answer to a commit is lost: repeated is what may be, and of the rest nobody says more than is known", async () => {
        await using wire = await makeWire(server.port);
        await using db = await open({}, through(wire.port));
        await add(db, "before");

        wire.cutAt("COMMIT");
        await expect(add(db, "unknown")).rejects.toMatchObject({ code: "unavailable" });
        expect(await texts(db)).toEqual(["before", "unknown"]);

        wire.cutAt("COMMIT");
        const repeated = db.unit(
          function* () {
            const known = yield* run(db.build.selectFrom("notes").select("id").where("text", "=", "twice"));
            if (known.length > 0) return "again";
            yield* run(db.build.insertInto("notes").values({ text: "twice" }));
            return "first";
          },
          { isRepeatable: true },
        );
        expect(await repeated).toBe("again");
        expect(await texts(db)).toEqual(["before", "unknown", "twice"]);
      });

      it("the connection ends before the commit: the unit is done again though it is not repeatable", async () => {
        await using wire = await makeWire(server.port);
        await using db = await open({}, through(wire.port));
        wire.cutAt("BEGIN");
        expect(await add(db, "once")).toHaveLength(1);
        expect(await texts(db)).toEqual(["once"]);
      });

      it("the only write of a unit without a transaction is lost on the way back: it counts as a commit", async () => {
        await using wire = await makeWire(server.port);
        await using db = await open({}, through(wire.port));
        wire.cutAt("insert into");
        const once = db.unit(() => run(db.build.insertInto("notes").values({ text: "once" })), { writesOnce: true });
        await expect(once).rejects.toMatchObject({ code: "unavailable" });
        expect(await texts(db)).toEqual(["once"]);
      });

      it("what a commit is answered is in another language: it is understood all the same", async () => {
        await using wire = await makeWire(server.port);
        await using db = await open({}, through(wire.port));
        await server.sql(`
          SET search_path = ${place.schema};
          CREATE SEQUENCE commits;
          CREATE FUNCTION answer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF new.text = 'warned' THEN RAISE WARNING 'not where it should be'; END IF;
            IF new.text = 'refused' AND nextval('${place.schema}.commits') = 1 THEN
              RAISE EXCEPTION 'in the way' USING ERRCODE = 'serialization_failure';
            END IF;
            RETURN NULL;
          END $$;
          CREATE CONSTRAINT TRIGGER answers AFTER INSERT ON notes
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION answer()`);
        wire.translate({ WARNING: "WARNUNG", ERROR: "FELER" });
        await expect(add(db, "warned")).rejects.toMatchObject({ code: "unavailable", cause: { severity: "WARNUNG" } });
        expect(await add(db, "refused")).toHaveLength(1);
      });

      it("nothing comes back any more: the query ends, and a server that answers is looked for", async () => {
        await using one = await makeWire(server.port);
        await using other = await makeWire(server.port);
        other.mute(true);
        await using db = await open({ statementMsMax: 200, connectMsMax: 200 }, through(one.port, other.port));
        await add(db, "before");
        one.mute(true);
        other.mute(false);
        expect(await texts(db)).toEqual(["before"]);
      });

      it("a server is silent when the store is closed: nobody waits for it, and nothing is kept open", async () => {
        await using wire = await makeWire(server.port);
        const db = await open({ connectMsMax: 200 }, through(wire.port));
        await Promise.all([texts(db), texts(db), texts(db)]);
        wire.mute(true);
        await db.close();
        await expect.poll(() => wire.listeners()).toBe(0);
      });

      it("a server is gone in the moment in which it was found: the others are asked again", async () => {
        await using one = await makeWire(server.port);
        await using other = await makeWire(server.port);
        other.mute(true);
        const gone = one.muteAt(terminate);
        const opening = open({ connectMsMax: 200 }, through(one.port, other.port));
        await gone;
        other.mute(false);
        await using db = await opening;
        await add(db, "found");
        expect(await texts(db)).toEqual(["found"]);
        // Of the one that did not answer to the end of a connection nothing is kept open.
        await expect.poll(() => one.listeners()).toBe(0);
      });
    });
  },
);
