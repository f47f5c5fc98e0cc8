import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "@flotilla/kit/testing";
import type { Generated } from "kysely";
import { afterEach, beforeEach, expect, test } from "vitest";
import { run } from "./database.ts";
import type { Migration } from "./migration.ts";
import { openSqlite, type Sqlite } from "./sqlite.ts";
import type { StoreHealth } from "./sqlite-health.ts";

interface Tables {
  notes: { id: Generated<number>; text: string };
}

const step = (name: string, sqlite: string) => ({ name, sqlite, postgres: "" });
const notes = step("notes", "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT");
/** Read anew from the file each time: what is damaged there is seen. */
const uncached = step("uncached", "PRAGMA cache_size = 1");
const small = step("small", "PRAGMA max_page_count = 12");

let directory = "";
let file = "";
let heard: StoreHealth[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-health-"));
  file = join(directory, "notes.db");
  heard = [];
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = (...more: Migration[]) =>
  openSqlite<Tables>(file, [notes, ...more], { onHealth: (health) => heard.push(health) });
const add = (db: Sqlite<Tables>, text: string) => db.unit(() => run(db.build.insertInto("notes").values({ text })));
const read = (db: Sqlite<Tables>, id: number) =>
  db.read(db.build.selectFrom("notes").select("text").where("id", "=", id)).then(([row]) => row?.text);

test("a store that keeps nothing says so until something is kept, and tries by itself", async () => {
  const db = open(small);
  expect(db.isWritable()).toBe(true);
  await expect(add(db, "x".repeat(100_000))).rejects.toMatchObject({ code: "unavailable", reason: "store" });
  expect(db.isWritable()).toBe(false);
  // Nobody writes any more.
  await until(() => db.isWritable(), "it has tried");
  await expect(add(db, "x".repeat(100_000))).rejects.toMatchObject({ code: "unavailable" });
  await add(db, "small");
  expect(db.isWritable()).toBe(true);
  expect(heard).toEqual(["failing", "well", "failing", "well"]);
  db.close();
});

test("a refusal of the caller's own says nothing of the store", async () => {
  const db = open();
  await expect(
    db.unit(() => {
      throw new TypeError("of the caller");
    }),
  ).rejects.toThrow("of the caller");
  expect([db.isWritable(), heard]).toEqual([true, []]);
  db.close();
});

test("a store that is found damaged while it runs is read where it can be, and written to no more", async () => {
  const filled = open();
  for (let n = 1; n <= 100; n += 1) await add(filled, `${n}`.padEnd(3_000, "."));
  filled.close();
  const db = open(uncached);
  // By another process: closing a file ends the locks that a process has on it.
  const damage = `const fs = require("node:fs"); const fd = fs.openSync(process.argv[1], "r+");
    for (let page = 40; page < 60; page += 1) fs.writeSync(fd, Buffer.alloc(4096, 0xa5), 0, 4096, page * 4096);`;
  execFileSync(process.execPath, ["--eval", damage, file]);
  expect(await read(db, 1)).toContain("1.");
  expect(db.isWritable()).toBe(true);
  await expect(read(db, 50)).rejects.toMatchObject({ code: "internal", reason: "store_damaged" });
  expect([db.isWritable(), heard]).toEqual([false, ["damaged"]]);
  expect(await read(db, 1)).toContain("1.");
  await expect(add(db, "more")).rejects.toMatchObject({ code: "internal", reason: "store_damaged" });
  expect(heard).toEqual(["damaged"]);
  db.close();
  expect(() => open(uncached)).toThrow("Restore it from a backup");
});
