import { AsyncLocalStorage } from "node:async_hooks";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { FlotillaError } from "@flotilla/kit";
import type { Generated } from "kysely";
import { afterEach, beforeEach, expect, test } from "vitest";
import { run } from "./database.ts";
import { openSqlite, type Sqlite } from "./sqlite.ts";

interface Tables {
  notes: { id: Generated<number>; text: string };
}

const table = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT";
const notes = { name: "notes", sqlite: table, postgres: "" };
/** SQLite's default page is 4 KiB; with the schema there is room for some ten of them. */
const small = { name: "small", sqlite: "PRAGMA max_page_count = 12", postgres: "" };

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-units-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = (name = "notes") => openSqlite<Tables>(join(directory, name), [notes, small]);
const add = (db: Sqlite<Tables>, text: string) =>
  db.unit(function* () {
    yield* run(db.build.insertInto("notes").values({ text }));
  });
const texts = (db: Sqlite<Tables>) =>
  db.unit(function* () {
    return (yield* run(db.build.selectFrom("notes").select("text").orderBy("id"))).map((row) => row.text);
  });
const walBytes = (name: string) => statSync(join(directory, `${name}-wal`)).size;

test("units of one turn share a commit: each page is written once for all of them", async () => {
  const one = open("one");
  const each = open("each");
  const before = { one: walBytes("one"), each: walBytes("each") };
  await Promise.all(Array.from({ length: 50 }, (_, n) => add(one, `${n}`)));
  for (let n = 0; n < 50; n += 1) await add(each, `${n}`);
  expect(await texts(one)).toEqual(await texts(each));
  expect((walBytes("each") - before.each) / (walBytes("one") - before.one)).toBeGreaterThan(20);
  one.close();
  each.close();
});

test("a unit that throws is undone alone, and those beside it are kept", async () => {
  const db = open();
  const refused = db.unit(function* () {
    yield* run(db.build.insertInto("notes").values({ text: "undone" }));
    throw new FlotillaError("aborted", "changed its mind");
  });
  const outcomes = await Promise.allSettled([add(db, "before"), refused, add(db, "after")]);
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(await texts(db)).toEqual(["before", "after"]);
  db.close();
});

test("nobody is told of a result before it is kept: when the commit fails, all of it failed, a refusal included", async () => {
  const db = open();
  const refused = db.unit(function* () {
    yield* run(db.build.selectFrom("notes").selectAll());
    throw new FlotillaError("not_found", "no such note");
  });
  const group = [add(db, "small"), refused, texts(db), add(db, "x".repeat(100_000))];
  for (const unit of group) await expect(unit).rejects.toMatchObject({ code: "unavailable", reason: "store" });
  expect(await texts(db)).toEqual([]);
  db.close();
});

test("more than fit into one commit are all done, in order", async () => {
  const db = open();
  await Promise.all(Array.from({ length: 300 }, (_, n) => add(db, `${n}`)));
  expect(await texts(db)).toEqual(Array.from({ length: 300 }, (_, n) => `${n}`));
  db.close();
});

test("one commit has at most 64 units, and the event loop turns before the next", async () => {
  const db = open();
  let done = 0;
  const all = Promise.all(Array.from({ length: 150 }, (_, n) => add(db, `${n}`).then(() => (done += 1))));
  const doneByTurn: number[] = [];
  while (done < 150) {
    await nextTurn();
    if (done > (doneByTurn.at(-1) ?? 0)) doneByTurn.push(done);
  }
  await all;
  expect(doneByTurn).toEqual([64, 128, 150]);
  db.close();
});

test("what was asked for before the store is closed is done", async () => {
  const db = open();
  const asked = Array.from({ length: 100 }, (_, n) => add(db, `${n}`));
  db.close();
  await Promise.all(asked);
  const again = open();
  expect(await texts(again)).toHaveLength(100);
  again.close();
});

test("each unit runs in the context of who asked for it", async () => {
  const db = open();
  const who = new AsyncLocalStorage<string>();
  const whose = () =>
    db.unit(function* () {
      yield* run(db.build.selectFrom("notes").selectAll());
      return who.getStore();
    });
  const ask = (name: string) => who.run(name, whose);
  expect(await Promise.all([ask("bob"), ask("alice"), whose()])).toEqual(["bob", "alice", undefined]);
  db.close();
});
