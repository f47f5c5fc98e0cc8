import { mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openOrderStore } from "../orders/store-sql.ts";
import { lockDataDirectory } from "../supervisor/lock.ts";
import { openUserStore } from "../users/store-sql.ts";
import { beginAnew } from "./new-store.ts";

let dataDir = "";
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "flotilla-new-store-"));
});
afterEach(() => rmSync(dataDir, { recursive: true }));

const mode = "production";
const orders = () => openOrderStore(join(dataDir, "orders.db"), { service: "orders", mode, dataDir });
const users = () => openUserStore(join(dataDir, "users.db"), { service: "users", mode, dataDir });
const refused = (change: object) => expect.objectContaining(change);

test("a service begins anew on purpose, and what was left of its store is kept aside", async () => {
  await (await orders()).close();
  truncateSync(join(dataDir, "orders.db"));
  await expect(orders()).rejects.toMatchObject({ reason: "store_lost" });
  const replaced = beginAnew({ dataDir, services: ["orders"] });
  expect(readdirSync(replaced).sort()).toEqual(["orders.db", "orders.store"]);
  const store = await orders();
  expect(await store.count()).toBe(0);
  await store.close();
});

test("it says so when there is nothing to begin anew, or no such store", () => {
  expect(() => beginAnew({ dataDir, services: ["orders"] })).toThrow(refused({ code: "not_found" }));
  expect(() => beginAnew({ dataDir, services: ["gateway"] })).toThrow(refused({ code: "invalid_argument" }));
  expect(readdirSync(dataDir)).toEqual([]);
});

test("new users never find the orders of those who had their ids before", async () => {
  for (const open of [users, orders]) await (await open()).close();
  expect(() => beginAnew({ dataDir, services: ["users"] })).toThrow(refused({ reason: "orders_left" }));
  beginAnew({ dataDir, services: ["users", "orders"] });
  expect(readdirSync(dataDir).filter((name) => /\.(db|store)$/.test(name))).toEqual([]);
});

test("a store in use stays where it is", async () => {
  const store = await orders();
  expect(() => beginAnew({ dataDir, services: ["orders"] })).toThrow(refused({ reason: "store_in_use" }));
  await store.close();
  const lock = lockDataDirectory(dataDir);
  expect(() => beginAnew({ dataDir, services: ["orders"] })).toThrow("already runs");
  lock.release();
  expect(readdirSync(dataDir)).toContain("orders.db");
});
