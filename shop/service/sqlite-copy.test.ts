import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backup, DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { copySqlite } from "./sqlite-copy.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-copy-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("a copy that begins within a unit of work is made when that is over, and has it", async () => {
  const db = new DatabaseSync(join(directory, "store.db"));
  db.exec("PRAGMA journal_mode = WAL; CREATE TABLE notes (text); BEGIN IMMEDIATE; INSERT INTO notes VALUES ('first')");
  const to = join(directory, "copy.db");
  const copied = copySqlite(db, to);
  // By the time that this one, which began after it, is refused, the other has been, too.
  await expect(backup(db, join(directory, "refused.db"))).rejects.toMatchObject({ errcode: 0 });
  db.exec("COMMIT");
  await copied;
  db.close();
  const copy = new DatabaseSync(to, { readOnly: true });
  expect(copy.prepare("SELECT text FROM notes").all()).toEqual([{ text: "first" }]);
  copy.close();
});
