import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { connect, openIdentity } from "@flotilla/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { backup } from "../shop/backup/backup.ts";
import { restore } from "../shop/backup/restore.ts";
import type { Gateway } from "../shop/contracts/gateway.ts";
import type { Operations } from "../shop/contracts/operations.ts";
import { sendCustomers } from "./faults/customers.ts";
import { type Intent, violations } from "./faults/history.ts";
import { ratesMax } from "./faults/kills.ts";
import { startProcesses, until } from "./process-harness.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-backup-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("of orders placed while a backup is made, it has all that were acknowledged before, once; log-ins stay", async () => {
  const to = join(directory, "backup");
  let before: Intent[] = [];
  let history: { intents: readonly Intent[] };
  let token = "";
  {
    await using shop = await startProcesses({ env: ratesMax });
    using customers = await sendCustomers(shop.urls.gateway, 4);
    using bob = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
    token = (await bob.main.login("bob", "password")).token;
    history = customers.history;
    const acknowledged = () => history.intents.filter((it) => it.acknowledged);
    await until(() => acknowledged().length > 200, "orders were placed");
    before = acknowledged();
    await backup({ dataDir: shop.dataDir, urls: shop.urls, to, version: "test" });
    const known = acknowledged().length;
    expect(known).toBeGreaterThan(before.length);
    await until(() => acknowledged().length > known + 50, "orders are placed after it");
    await customers.finish();
    expect(customers.history.errors).toEqual(new Map());
  }

  await using shop = await startProcesses({ prepare: (dataDir) => restore({ from: to, dataDir }) });
  using bob = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
  // The login of before, whose keys were backed up too; and a new one.
  expect(await bob.main.getUserProfile(token)).toMatchObject({ username: "bob" });
  const login = await bob.main.login("bob", "password");
  const stored = [];
  for (;;) {
    const oldest = stored[0]?.orderId;
    const page = await bob.main.listOrders(login.token, oldest === undefined ? {} : { before: oldest });
    stored.unshift(...page);
    if (page.length < 1_000) break;
  }
  expect(stored.length).toBeGreaterThanOrEqual(before.length);
  // Of the later ones each may be in it or not.
  const kept = new Set(before);
  const asked = history.intents.map((it) => (kept.has(it) ? it : { ...it, acknowledged: undefined }));
  expect(violations({ intents: asked as Intent[], errors: new Map() }, stored)).toEqual([]);
  expect(await bob.main.createOrder(login.token, [{ name: "Mouse", quantity: 1, price: 1 }])).toMatchObject({
    status: "pending",
  });
});

test("the commands of the documentation back up a running system, and restore it when it has stopped", async () => {
  const operations = readFileSync(join(root, "docs", "operations.md"), "utf8");
  const [, block = ""] = /^```sh\n(npm run -s backup[\s\S]*?)^```$/m.exec(operations) ?? [];
  const [backUp = "", restoreIt = "", restoreOver = "", ...others] = block.trim().split("\n");
  expect(others).toEqual([]);
  await using shop = await startProcesses({ start: ["users", "orders"] });
  const places = { FLOTILLA_USERS_URL: shop.urls.users, FLOTILLA_ORDERS_URL: shop.urls.orders };
  const type = (command: string, dataDir: string) => {
    const [program = "", ...args] = command.replace("/backups/monday", join(directory, "monday")).split(" ");
    return run(program, args, { cwd: root, env: { ...process.env, ...places, FLOTILLA_DATA: dataDir } });
  };
  expect((await type(backUp, shop.dataDir)).stdout).toMatch(/^✓ Backed up .*, verified\n$/);
  const other = join(directory, "data");
  expect((await type(restoreIt, other)).stdout).toMatch(/^✓ Restored .*, verified\n$/);
  expect((await type(restoreOver, other)).stderr).toContain("replaced-");
  // Under those who use it.
  await expect(type(restoreOver, shop.dataDir)).rejects.toThrow("in use by another process");
});

test("no service but the operator's key has a store copied, and no file is replaced by it", async () => {
  await using shop = await startProcesses({ start: ["users", "orders"] });
  const to = (name: string, peer: string) => {
    const as = { identity: openIdentity(join(shop.dataDir, "keys"), peer) };
    return connect<Operations>({ name, url: shop.urls[name as "users"], as });
  };
  using gateway = to("orders", "gateway");
  expect(await codeOf(gateway.main.copyStore(directory))).toBe("unimplemented");
  using operator = to("orders", "operator");
  expect(await codeOf(operator.main.copyStore("relative"))).toBe("invalid_argument");
  expect(await codeOf(operator.main.copyStore(join(directory, "absent")))).toBe("failed_precondition");
  expect(await codeOf(operator.main.copyStore(shop.dataDir))).toBe("already_exists");
  expect(await operator.main.copyStore(directory)).toEqual({ isDone: true, file: "orders.db" });
});

async function codeOf(call: PromiseLike<unknown>): Promise<unknown> {
  return await call.then(
    () => "done",
    (error: unknown) => (error as { code?: unknown }).code,
  );
}
