import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { FlotillaError } from "@flotilla/kit";
import type { Generated } from "kysely";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { type PostgresServer, startPostgres, whyNoPostgres } from "../../tests/postgres.ts";
import type { Mode } from "../topology.ts";
import { type Database, run } from "./database.ts";
import { watchSyncs } from "./fixtures/syncs.ts";
import type { Migration } from "./migration.ts";
import { type OwnStore, openDatabase } from "./open-database.ts";
import type { PostgresPlace } from "./postgres-place.ts";
import { label } from "./store-label.ts";

interface Tables {
  notes: { id: Generated<number>; text: string };
}
type Where = string | PostgresPlace;

const notes: Migration = {
  name: "notes",
  sqlite: "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT",
  postgres: "CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL)",
};
const marker = "orders.store";
const lost = { code: "failed_precondition", reason: "store_lost" };

let dataDir = "";
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "flotilla-stores-"));
});
afterEach(() => rmSync(dataDir, { recursive: true }));

const own = (change: Partial<OwnStore> = {}): OwnStore => ({
  service: "orders",
  mode: "production",
  dataDir,
  ...change,
});
const open = (where: Where, change: Partial<OwnStore> = {}, migrations: readonly Migration[] = [notes, label]) =>
  openDatabase<Tables>(where, migrations, { application: "test", own: own(change) });
const write = (db: Database<Tables>, text: string) => db.unit(() => run(db.build.insertInto("notes").values({ text })));
const texts = async (db: Database<Tables>) =>
  (await db.read(db.build.selectFrom("notes").select("text").orderBy("id"))).map((row) => row.text);
const markerText = () => JSON.parse(readFileSync(join(dataDir, marker), "utf8")) as Record<string, string>;

async function used(where: Where): Promise<void> {
  const db = await open(where);
  await write(db, "kept");
  await db.close();
}

async function refusalOf(opening: Promise<Database<Tables>>): Promise<FlotillaError> {
  const opened = await opening.catch((error: FlotillaError) => error);
  if (opened instanceof Error) return opened;
  await opened.close();
  throw new Error("it was not refused");
}

describe("a store in a file", () => {
  const file = () => join(dataDir, "orders.db");

  const losses: Record<string, () => void> = {
    emptied: () => truncateSync(file(), 0),
    missing: () => rmSync(file()),
    "replaced by a new database": () => {
      rmSync(file());
      using db = new DatabaseSync(file());
      db.exec("VACUUM");
    },
    "cut within its first page": () => truncateSync(file(), 100),
    "cut to its first page": () => truncateSync(file(), 4_096),
  };

  it.each(Object.entries(losses))(
    "that is %s is refused by name, again and again, with both ways out",
    async (_, lose) => {
      await used(file());
      lose();
      const left = readdirSync(dataDir).sort();
      for (let start = 1; start <= 2; start++) {
        const refusal = await refusalOf(open(file()));
        expect(refusal).toMatchObject({ code: "failed_precondition", reason: /^store_(lost|damaged)$/ });
        expect(refusal.message).toContain(file());
        expect(refusal.message).toMatch(/Restore it from a backup/i);
        expect(refusal.message).toContain(`npx flotilla restore DIRECTORY --data ${dataDir} --yes`);
        expect(refusal.message).toContain(`npx flotilla new-store orders --data ${dataDir}`);
      }
      expect(readdirSync(dataDir).sort()).toEqual(left);
    },
  );

  it("that is empty is refused without a marker too: a first start that is cut short leaves none", async () => {
    writeFileSync(file(), "");
    expect(await refusalOf(open(file()))).toMatchObject(lost);
    rmSync(file());
    writeFileSync(`${file()}-wal`, "the last commits of a store");
    expect(await refusalOf(open(file()))).toMatchObject(lost);
    expect(readFileSync(`${file()}-wal`, "utf8")).toBe("the last commits of a store");
  });

  it("is new where there are only keys: others may have made them", async () => {
    writeFileSync(join(dataDir, "orders.key"), "");
    await used(file());
    expect(readdirSync(dataDir).sort()).toEqual(["orders.db", "orders.key", marker]);
  });

  it("that has lost its marker gets another, with the time when the store was made", async () => {
    await used(file());
    const first = markerText();
    expect(first).toMatchObject({ service: "orders", mode: "production", store: file() });
    rmSync(join(dataDir, marker));
    const db = await open(file());
    expect(await texts(db)).toEqual(["kept"]);
    await db.close();
    expect(markerText()).toEqual(first);
  });

  it("leaves its marker, and the name of it, on disk", async () => {
    const isSynced = watchSyncs();
    await used(file());
    expect([join(dataDir, marker), dataDir].filter((path) => !isSynced(path))).toEqual([]);
  });

  it("is refused for what is wrong with it, also when it cannot be closed then", async () => {
    await used(file());
    const close = vi.spyOn(DatabaseSync.prototype, "close").mockImplementation(() => {
      throw new Error("the disk is gone");
    });
    onTestFinished(() => close.mockRestore());
    expect(await refusalOf(open(file(), { mode: "development" }))).toMatchObject({ reason: "store_mode" });
  });
});

interface Kind {
  readonly name: string;
  where(): Where;
}

const kinds: readonly Kind[] = [
  { name: "SQLite", where: () => join(dataDir, "orders.db") },
  { name: "PostgreSQL", where: () => postgres!.place() },
];
let postgres: PostgresServer | undefined;
beforeAll(async () => {
  if (!whyNoPostgres) postgres = await startPostgres();
});
afterAll(() => postgres?.[Symbol.asyncDispose]());

describe.each(kinds)("a store of $name", ({ name, where }) => {
  beforeEach(({ skip }) => {
    if (name === "PostgreSQL" && whyNoPostgres) skip(whyNoPostgres);
  });

  it("made in production is refused in development, whatever was asked for since", async () => {
    const place = where();
    await used(place);
    for (const _ of ["once", "again"]) {
      const refusal = await refusalOf(open(place, { mode: "development" }));
      expect(refusal).toMatchObject({ code: "failed_precondition", reason: "store_mode" });
      expect(refusal.message).toContain("FLOTILLA_MODE=production");
    }
    await used(place);
  });

  it("made in development opens in production, where its service judges it, and stays one made in development", async () => {
    const place = where();
    for (const mode of ["development", "production", "development"] as const) {
      await (await open(place, { mode })).close();
      expect(markerText().mode).toBe("development");
    }
  });

  it("is refused to another service", async () => {
    const place = where();
    await used(place);
    expect(await refusalOf(open(place, { service: "users" }))).toMatchObject({ reason: "store_foreign" });
  });

  it.each<[string, Mode | undefined, Mode]>([
    ["is labelled with the mode it shows", "production", "production"],
    ["that shows no mode is labelled with that of the start", undefined, "development"],
  ])("of an earlier version %s, and keeps what it has", async (_, shown, labelled) => {
    const place = where();
    const old = await openDatabase<Tables>(place, [notes], { application: "test" });
    await write(old, "kept");
    await old.close();
    const shownMode = function* (db: Database<Tables>) {
      const [note] = yield* run(db.build.selectFrom("notes").select("text"));
      return note?.text === "kept" ? shown : undefined;
    };
    const opened = openDatabase<Tables>(place, [notes, label], {
      application: "test",
      own: own({ mode: "development" }),
      shownMode,
    });
    if (labelled === "production") expect(await refusalOf(opened)).toMatchObject({ reason: "store_mode" });
    else await (await opened).close();
    const db = await open(place);
    expect(await texts(db)).toEqual(["kept"]);
    await db.close();
    expect(markerText().mode).toBe(labelled);
  });
});

describe.skipIf(whyNoPostgres)(`a database${whyNoPostgres ? ` (${whyNoPostgres})` : ""}`, () => {
  it("that is empty although there was a store before is refused, and nothing is made in it", async () => {
    await used(postgres!.place());
    const another = postgres!.place();
    for (let start = 1; start <= 2; start++) {
      const refusal = await refusalOf(open(another));
      expect(refusal).toMatchObject(lost);
      expect(refusal.message).toContain(another.servers[0]!.name);
    }
    rmSync(join(dataDir, marker));
    await used(another);
  });

  it("is refused where a file was before, as a file is after it, although either is whole", async () => {
    const elsewhere = { code: "failed_precondition", reason: "store_elsewhere" };
    const [file, place] = [join(dataDir, "orders.db"), postgres!.place()];
    await used(file);
    rmSync(join(dataDir, marker));
    await used(place);
    const back = await refusalOf(open(file));
    expect(back).toMatchObject(elsewhere);
    expect(back.message).toContain(`${place.servers[0]!.name}, made `);
    expect(back.message).toContain("FLOTILLA_ORDERS_STORE is not set");
    expect(back.message).toContain(`npx flotilla new-store orders --data ${dataDir}`);
    await used(place);
    rmSync(join(dataDir, marker));
    await used(file);
    expect(await refusalOf(open(place))).toMatchObject(elsewhere);
  });

  it("is labelled once by instances that start at the same time", async () => {
    const place = postgres!.place();
    const both = await Promise.all(
      ["development", "production"].map((mode) =>
        open(place, { mode: mode as Mode }).then(
          (db) => db,
          () => undefined,
        ),
      ),
    );
    for (const db of both) await db?.close();
    const db = await open(place);
    const [row] = await postgres!.sql<{ mode: Mode }>(`SELECT mode FROM ${place.schema}.label`);
    expect(both.map((it) => it !== undefined)).toEqual(row!.mode === "production" ? [false, true] : [true, true]);
    await db.close();
  });
});
