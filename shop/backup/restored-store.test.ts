import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openIdentity } from "@flotilla/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { migrations } from "../orders/store-sql.ts";
import { openDataDirectory } from "../service/data-directory.ts";
import { openDatabase } from "../service/open-database.ts";
import { openSqliteUserStore } from "../users/store-sql.ts";
import { backup } from "./backup.ts";
import { restore } from "./restore.ts";

/** Nothing ever listens there: the services of these tests don't run. */
const nowhere = "http://127.0.0.1:1";

let root = "";
let dataDir = "";
let to = "";
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "flotilla-restored-"));
  dataDir = join(root, "data");
  to = join(root, "backup");
  openDataDirectory(dataDir);
  openIdentity(join(dataDir, "keys"), "orders");
  openSqliteUserStore(join(dataDir, "users.db")).close();
  await start(dataDir);
});
afterEach(() => rmSync(root, { recursive: true }));

/** Opens the store of orders as a start of its service does, and closes it again. */
async function start(directory: string): Promise<void> {
  const own = { service: "orders", mode: "production", dataDir: directory } as const;
  const db = await openDatabase(join(directory, "orders.db"), migrations, { application: "test", own });
  await db.close();
}

const back = () => backup({ dataDir, urls: { orders: nowhere, users: nowhere }, to, version: "1.2.3" });
const markerIn = (directory: string) => readFileSync(join(directory, "orders.store"), "utf8");

test("a restored store that is lost is refused, also before its service has started on it", async () => {
  await back();
  const other = join(root, "other");
  await restore({ from: to, dataDir: other });
  expect(JSON.parse(markerIn(other))).toEqual({ ...JSON.parse(markerIn(dataDir)), store: join(other, "orders.db") });
  if (process.platform !== "win32") expect(statSync(join(other, "orders.store")).mode & 0o777).toBe(0o600);
  rmSync(join(other, "orders.db"));
  await expect(start(other)).rejects.toMatchObject({ reason: "store_lost" });
});

test("the marker of a restored store is that of the backup's store, not of the one that it replaces", async () => {
  await back();
  writeFileSync(join(dataDir, "orders.store"), JSON.stringify({ dialect: "postgres", store: "elsewhere" }));
  await restore({ from: to, dataDir, force: true });
  expect(JSON.parse(markerIn(dataDir))).toMatchObject({ dialect: "sqlite", mode: "production" });
  await start(dataDir);
});

test("a backup from before stores had labels is restored, and its markers say no mode", async () => {
  const file = join(dataDir, "orders.db");
  const db = new DatabaseSync(file);
  db.exec("DROP TABLE label; DELETE FROM migrations WHERE name = 'label'");
  db.close();
  await back();
  await restore({ from: to, dataDir, force: true });
  const { createdAt, ...said } = JSON.parse(markerIn(dataDir));
  expect(said).toEqual({ service: "orders", dialect: "sqlite", store: file });
  expect(Date.parse(createdAt)).toBeGreaterThan(0);
});
