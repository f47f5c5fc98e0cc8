import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, reasonOf } from "@flotilla/kit";
import { spawnChild } from "@flotilla/kit/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import { isReady } from "../../shop/supervisor/readiness.ts";
import { type Processes, startProcesses, until } from "../process-harness.ts";
import { sendCustomers } from "./customers.ts";
import { violations } from "./history.ts";
import { ratesMax } from "./kills.ts";
import { canMount, mountSmallDisk, type SmallDisk } from "./small-disk.ts";

const items = [{ name: "Laptop", quantity: 1, price: 0.01 }];
/** Files may not be written to beyond it: the second page of a journal cannot. Bytes. */
const fileBytesMax = 4_096;

const canLimit = spawnSync("prlimit", ["--version"]).status === 0;

/** Makes every write of the process fail, as a dying disk does: with EIO's kin, not with a full disk's word. */
function failWrites(pid: number, isFailing: boolean): void {
  execFileSync("prlimit", ["--pid", `${pid}`, `--fsize=${isFailing ? fileBytesMax : "unlimited"}:unlimited`]);
}

test.skipIf(!canLimit)(
  "a disk that fails writes refuses orders, reads go on; it recovers without a restart",
  async () => {
    await using shop = await startProcesses({ env: { ...ratesMax, FLOTILLA_ORDERS_OPS_PORT: "0" } });
    const ops = /Operations: (\S+)\/metrics/.exec(shop.output("orders"))![1];
    const checks = async () => ((await (await fetch(`${ops}/readyz`)).json()) as { checks: unknown }).checks;
    using customers = await sendCustomers(shop.urls.gateway, 4);
    using bob = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
    const { token } = await bob.main.login("bob", "password");
    const { history } = customers;
    await until(() => history.intents.length > 50, "orders are placed");
    expect(await checks()).toEqual({ users: true, store: true });
    const pid = shop.pidOf("orders")!;
    failWrites(pid, true);
    const reasons = new Set<string | undefined>();
    // The gateway's breaker: what keeps failing is asked now and then only.
    await until(async () => {
      reasons.add(await bob.main.createOrder(token, items).then(() => "placed", reasonOf));
      return reasons.has("store") && reasons.has("circuit_open");
    }, "the store fails, and the circuit opens");
    expect(await isReady(shop.urls.orders)).toBe(false);
    expect(await checks()).toEqual({ users: true, store: false });
    expect(await bob.main.listOrders(token, { limit: 1 })).toHaveLength(1);
    failWrites(pid, false);
    await until(() => isReady(shop.urls.orders), "it is ready again");
    const known = history.intents.length;
    await until(() => history.intents.slice(known).some((it) => it.acknowledged), "orders are placed again");
    await customers.finish();
    expect([...history.errors.keys()]).toEqual(["unavailable"]);
    const own = (await customers.stored()).filter(({ total }) => total !== items[0]!.price);
    const intents = history.intents.filter(({ number }) => number !== 1);
    expect(violations({ ...history, intents }, own)).toEqual([]);
    expect(shop.pidOf("orders")).toBe(pid);
    expect(shop.output("orders")).toContain("the store does not keep what is written");
  },
);

describe("a service that starts", () => {
  let disk: SmallDisk | undefined;
  let shop: Processes;
  beforeAll(async () => {
    disk = canMount ? mountSmallDisk(16 * 2 ** 20) : undefined;
    shop = await startProcesses({ start: ["users", "orders"], ...(disk && { dataParent: disk.path }) });
  });
  afterAll(async () => {
    await shop[Symbol.asyncDispose]();
    disk?.[Symbol.dispose]();
  });

  test("a file of which a page was overwritten is not started on, and the message says what to do", async () => {
    await shop.stop("orders");
    const file = join(shop.dataDir, "orders.db");
    const whole = readFileSync(file);
    writeFileSync(file, Buffer.from(whole).fill(0x5a, 4_096, 8_192));
    await expect(shop.start("orders")).rejects.toThrow(
      `The store ${file} is damaged: the service does not start on it`,
    );
    await shop.kill("orders");
    writeFileSync(file, whole);
    await shop.start("orders");
    await shop.ready();
  });

  test("a file that another process holds is waited for, and then left alone; nothing of it is changed", async () => {
    await shop.stop("orders");
    const file = join(shop.dataDir, "orders.db");
    await using holder = spawnChild(`
    import { DatabaseSync } from "node:sqlite";
    const db = new DatabaseSync(${JSON.stringify(file)});
    db.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    console.log("held");
    setInterval(() => db.isOpen, 1_000);`);
    await holder.says("held");
    await expect(shop.start("orders")).rejects.toThrow("is in use by another process; one process owns it at a time");
    await shop.kill("orders");
    holder.process.kill("SIGKILL");
    await holder.ended();
    await shop.start("orders");
    await shop.ready();
  });

  test.skipIf(!canMount)("a disk that can only be read is not started on, and the message says so", async () => {
    using disk = mountSmallDisk(16 * 2 ** 20);
    await using shop = await startProcesses({ dataParent: disk!.path, start: ["users", "orders"] });
    await shop.stop("orders");
    await shop.stop("users");
    execFileSync("mount", ["-o", "remount,ro", disk!.path]);
    try {
      await expect(shop.start("orders")).rejects.toThrow(
        `orders ended with 2 before it listened:\n${shop.output("orders")}The data directory ${shop.dataDir} cannot be written to`,
      );
    } finally {
      await shop.kill("orders");
      execFileSync("mount", ["-o", "remount,rw", disk!.path]);
    }
    await shop.start("users");
    await shop.start("orders");
    await shop.ready();
  });
});
