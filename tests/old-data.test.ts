import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock as clock } from "@flotilla/kit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openOrderStore } from "../shop/orders/store-sql.ts";
import type { Mode } from "../shop/topology.ts";
import { makePasswords } from "../shop/users/password.ts";
import { seedUsers } from "../shop/users/seed.ts";
import { openUserStore } from "../shop/users/store-sql.ts";
import { copyOldData, madeAtMs } from "./old-data/old-data.ts";
import { startProcesses } from "./process-harness.ts";

let dataDir = "";
beforeEach(() => {
  dataDir = join(mkdtempSync(join(tmpdir(), "flotilla-old-")), "data");
});
afterEach(() => rmSync(join(dataDir, ".."), { recursive: true }));

const users = (mode: Mode) => openUserStore(join(dataDir, "users.db"), { service: "users", mode, dataDir });
const orders = (mode: Mode) => openOrderStore(join(dataDir, "orders.db"), { service: "orders", mode, dataDir });

/** The accounts, orders and logins that `make.ts` made in them. */
const expected = {
  development: {
    accounts: ["alice", "bob", "charlie", "dora", "emil (disabled)"],
    logins: { user1: 1, user2: 1, user4: 1, user5: 0 },
    orders: { user1: ["order3 pending 7950"], user4: ["order1 pending 99999", "order2 cancelled 5998"] },
    count: 4,
  },
  production: {
    accounts: ["admin", "dora", "emil (disabled)"],
    logins: { user1: 1, user2: 1, user3: 0 },
    orders: { user1: ["order3 pending 7950"], user2: ["order1 pending 99999", "order2 cancelled 5998"] },
    count: 3,
  },
} as const;

describe.each(["development", "production"] as const)("the data directory of commit b102941 in %s", (mode) => {
  test("opens, keeps every account, login and order, and is marked with what it is", async () => {
    copyOldData("b102941", mode, dataDir);
    // The second time everything is there already.
    for (const _ of ["migrated", "as it is"]) {
      const userStore = await users(mode);
      const accounts = await userStore.listAccounts();
      const names = accounts.map(({ username, isEnabled }) => (isEnabled ? username : `${username} (disabled)`));
      expect(names).toEqual(expected[mode].accounts);
      for (const [id, count] of Object.entries(expected[mode].logins)) {
        expect(await userStore.listLogins(id, madeAtMs), id).toHaveLength(count);
      }
      const events = (await userStore.audit({ limit: 100, nowMs: madeAtMs })).map(({ event }) => event);
      expect(events).toEqual(expect.arrayContaining(["logout", "introduced", "user_disabled"]));
      await userStore.close();

      const orderStore = await orders(mode);
      for (const [id, listed] of Object.entries(expected[mode].orders)) {
        const found = await orderStore.listByUser(id);
        expect(found.map(({ id: order, status, totalMinor }) => `${order} ${status} ${totalMinor}`)).toEqual(listed);
      }
      expect(await orderStore.count()).toBe(expected[mode].count);
      expect((await orderStore.byId("order1"))?.lines).toEqual([{ name: "Laptop", quantity: 1, priceMinor: 99_999 }]);
      await orderStore.close();
      for (const service of ["users", "orders"]) expect(existsSync(join(dataDir, `${service}.store`))).toBe(true);
    }
  });
});

describe("one of production", () => {
  test("is never given users of the demo: the start is refused in development, and says why", async () => {
    const prepare = async (directory: string) => copyOldData("b102941", "production", directory);
    const starting = startProcesses({ mode: "development", start: ["users"], prepare });
    await expect(starting).rejects.toThrow(
      /users ended with 2 [\s\S]*made in production[\s\S]*FLOTILLA_MODE=production/,
    );
  });

  test("that was given them by an earlier version is one of development, whose demo users have to go first", async () => {
    copyOldData("b102941", "production", dataDir);
    // As the earlier version opened it: without a mode.
    const before = await openUserStore(join(dataDir, "users.db"));
    await seedUsers({ mode: "development", clock, store: before, passwords: makePasswords() });
    await before.close();
    const store = await users("development");
    expect(await store.count()).toBe(6);
    await store.close();
  });
});

describe("one of development", () => {
  test("goes on in development, where no demo user is missing", async () => {
    copyOldData("b102941", "development", dataDir);
    const store = await users("development");
    await seedUsers({ mode: "development", clock, store, passwords: makePasswords() });
    expect(await store.count()).toBe(5);
    await store.close();
  });
});
