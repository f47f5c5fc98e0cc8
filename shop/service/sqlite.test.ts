import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FlotillaError, hasCode, reasonOf } from "@flotilla/kit";
import type { Generated } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { prepared, run } from "./database.ts";
import type { Migration } from "./migration.ts";
import { openSqlite, type Sqlite } from "./sqlite.ts";
import { openError, storeError } from "./sqlite-error.ts";

interface Tables {
  notes: { id: Generated<number>; text: string };
}

const step = (name: string, sqlite: string): Migration => ({ name, sqlite, postgres: "" });
const first = step("notes", "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT");
const second = step("first note", "INSERT INTO notes (text) VALUES ('first')");

let directory = "";
let file = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-sqlite-"));
  file = join(directory, "notes.db");
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = (migrations: readonly Migration[] = [first]) => openSqlite<Tables>(file, migrations);
const add = (db: Sqlite<Tables>, text: string) =>
  db.unit(function* () {
    return (yield* run(db.build.insertInto("notes").values({ text }).returning("id")))[0]?.id;
  });
const texts = (db: Sqlite<Tables>) =>
  db.unit(function* () {
    return (yield* run(db.build.selectFrom("notes").select("text").orderBy("id"))).map((row) => row.text);
  });

const seen = async (db: Sqlite<Tables>) =>
  (await db.read(db.build.selectFrom("notes").select("text").orderBy("id"))).map((row) => row.text);

function refusalOf(run: () => unknown): FlotillaError {
  try {
    run();
  } catch (error) {
    if (error instanceof FlotillaError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("a unit of work", () => {
  it("is kept when it returns and undone when it throws", async () => {
    const db = open();
    await add(db, "kept");
    const undone = db.unit(function* () {
      yield* run(db.build.insertInto("notes").values({ text: "undone" }));
      throw new FlotillaError("aborted", "changed its mind");
    });
    await expect(undone).rejects.toMatchObject({ code: "aborted" });
    expect(await texts(db)).toEqual(["kept"]);
    db.close();
  });

  it("is not interleaved with others that were started with it", async () => {
    const db = open();
    const increment = () =>
      db.unit(function* () {
        const count = db.build.selectFrom("notes").select((eb) => eb.fn.countAll<number>().as("n"));
        const { n } = (yield* run(count))[0]!;
        yield* run(db.build.insertInto("notes").values({ text: `${n}` }));
      });
    await Promise.all(Array.from({ length: 20 }, increment));
    expect(await texts(db)).toEqual(Array.from({ length: 20 }, (_, n) => `${n}`));
    db.close();
  });

  it("cannot await", () => {
    const db = open();
    // @ts-expect-error A unit yields and is done: SQLite would commit before what was awaited.
    const typed = () => db.unit(async function* () {});
    expect(typed).toBeTypeOf("function");
    db.close();
  });

  it("is rejected as unavailable after close, and closing twice is no error", async () => {
    const db = open();
    db.close();
    db.close();
    await expect(texts(db)).rejects.toMatchObject({ code: "unavailable" });
  });

  it("leaves executing to the unit: the builder cannot", async () => {
    const db = open();
    await expect(db.build.selectFrom("notes").selectAll().execute()).rejects.toThrow("does not execute");
    db.close();
  });

  it("is unavailable when there is no room, without the driver's words, and reads go on", async () => {
    const small = step("small", "PRAGMA max_page_count = 6");
    const db = open([first, small]);
    await add(db, "before");
    const full = await add(db, "x".repeat(100_000)).catch((error: unknown) => error);
    expect(full).toMatchObject({ code: "unavailable", message: "The store cannot be used now", retryable: true });
    expect(await texts(db)).toEqual(["before"]);
    await add(db, "after");
    expect(await texts(db)).toEqual(["before", "after"]);
    db.close();
  });
});

describe("what only reads", () => {
  it("sees what is committed, and not what was asked for and is not yet", async () => {
    const db = open();
    await add(db, "kept");
    const asked = add(db, "asked for");
    expect(await seen(db)).toEqual(["kept"]);
    await asked;
    expect(await seen(db)).toEqual(["kept", "asked for"]);
    db.close();
    await expect(seen(db)).rejects.toMatchObject({ code: "unavailable" });
  });

  it("cannot write", async () => {
    const db = open();
    const writing = db.read(db.build.insertInto("notes").values({ text: "x" }));
    await expect(writing).rejects.toThrow("only reads");
    expect(await seen(db)).toEqual([]);
    db.close();
  });

  it("is fast when its query is prepared, which is built once and run with other values", async () => {
    const db = open();
    for (const text of ["one", "two", "three"]) await add(db, text);
    let built = 0;
    const after = prepared(({ id, text }: { id: number; text: string }) => {
      built += 1;
      return db.build.selectFrom("notes").select("text").where("id", ">", id).where("text", "<>", text).orderBy("id");
    });
    const textsAfter = async (id: number, text: string) => (await db.read(after({ id, text }))).map((row) => row.text);
    expect(await textsAfter(0, "two")).toEqual(["one", "three"]);
    expect(await textsAfter(1, "three")).toEqual(["two"]);
    expect(built).toBe(1);
    db.close();
  });
});

describe("opening a store", () => {
  // Windows has no such modes.
  it.skipIf(process.platform === "win32")("makes a file for its owner only, and closes one that was open", () => {
    open().close();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    chmodSync(file, 0o644);
    const db = open();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(`${file}-wal`).mode & 0o777).toBe(0o600);
    db.close();
  });

  it("applies each migration once, in order, and keeps what was written", async () => {
    const before = open([first]);
    await add(before, "zeroth");
    before.close();
    for (let round = 0; round < 2; round++) {
      const after = open([first, second]);
      expect(await texts(after)).toEqual(["zeroth", "first"]);
      after.close();
    }
  });

  it("leaves no half of a migration that failed", async () => {
    open().close();
    const broken = step("broken", "INSERT INTO notes (text) VALUES ('half'); SELECT nothing");
    expect(refusalOf(() => open([first, broken]))).toMatchObject({ code: "internal" });
    const db = open([first]);
    expect(await texts(db)).toEqual([]);
    db.close();
  });

  it("refuses a store that newer code wrote, by name", () => {
    open([first, second]).close();
    const refusal = refusalOf(() => open([first]));
    expect(refusal).toMatchObject({ code: "failed_precondition", reason: "store_too_new" });
    expect(refusal.message).toContain(file);
  });

  it("refuses another service's store", () => {
    open().close();
    expect(refusalOf(() => open([step("orders", "")])).reason).toBe("store_foreign");
  });

  it("refuses a file that another holder has, by name, and opens it when that one is done", () => {
    const holder = open();
    const refusal = refusalOf(open);
    expect(refusal).toMatchObject({ code: "unavailable", reason: "store_in_use" });
    expect(refusal.message).toContain(file);
    holder.close();
    open().close();
  });

  it("refuses a path it cannot make, by name", () => {
    file = join(directory, "absent", "notes.db");
    expect(refusalOf(open).message).toBe(`The store ${file} cannot be made`);
  });
});

describe("a damaged store", () => {
  const damages: Record<string, (bytes: Buffer) => void> = {
    "whose header is overwritten": (bytes) => bytes.fill(0x55, 0, 16),
    "whose schema page is overwritten": (bytes) => bytes.fill(0xa5, 100, 200),
    "with a page of zeros": (bytes) => bytes.fill(0, 4096 * 4, 4096 * 5),
    "with a flipped cell pointer": (bytes) => {
      bytes[4096 * 4 + 8] = bytes[4096 * 4 + 8]! ^ 0xff;
    },
  };

  async function fill(): Promise<void> {
    const db = open();
    for (let n = 0; n < 40; n++) await add(db, `${n}`.repeat(500));
    db.close();
  }

  function expectRefusal(): void {
    const refusal = refusalOf(open);
    expect(refusal).toMatchObject({ code: "failed_precondition", reason: "store_damaged" });
    expect(refusal.message).toContain(file);
  }

  it.each(Object.entries(damages))("%s is refused, by name", async (_, damage) => {
    await fill();
    const bytes = readFileSync(file);
    damage(bytes);
    writeFileSync(file, bytes);
    expectRefusal();
  });

  it("cut short is refused, by name", async () => {
    await fill();
    truncateSync(file, statSync(file).size - 8192);
    expectRefusal();
  });
});

describe("an error of the driver", () => {
  const thrown = (errcode: number) => Object.assign(new Error("driver text"), { code: "ERR_SQLITE_ERROR", errcode });

  it.each([5, 261, 6, 7, 8, 10, 266, 778, 13, 14])("with result code %i is unavailable and hides its text", (code) => {
    const error = storeError(thrown(code));
    expect(hasCode(error, "unavailable")).toBe(true);
    expect(String(error)).not.toContain("driver text");
    expect(error).toMatchObject({ cause: { message: "driver text" } });
  });

  it.each([11, 26, 267])("with result code %i says that the store is damaged", (code) => {
    expect(hasCode(storeError(thrown(code)), "internal")).toBe(true);
    expect(reasonOf(openError(thrown(code), file))).toBe("store_damaged");
  });

  it("says to the operator why the store cannot be opened", () => {
    const full = Object.assign(thrown(13), { errstr: "database or disk is full" });
    expect(openError(full, file)).toMatchObject({
      message: `The store ${file} cannot be opened: database or disk is full`,
    });
  });

  it("that is not about the store is passed on", () => {
    const constraint = thrown(2067);
    expect(storeError(constraint)).toBe(constraint);
    expect(storeError("word")).toBe("word");
  });
});
