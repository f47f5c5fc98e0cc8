import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { reasonOf } from "@flotilla/kit";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openSqliteOrderStore } from "./store-sql.ts";

const child = fileURLToPath(new URL("./store-kill.child.ts", import.meta.url));
const rounds = 5;
const ordersPerRound = 200;

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-kill-"));
});
const started: ChildProcess[] = [];
afterEach(() => {
  for (const process_ of started.splice(0)) process_.kill("SIGKILL");
  rmSync(directory, { recursive: true });
});

function startChild(file: string, first: number) {
  const process_ = spawn(process.execPath, [child, file, `${first}`], { stdio: ["ignore", "pipe", "inherit"] });
  started.push(process_);
  return process_;
}

/** Lets a child place orders from `first` on, kills it in the middle, and returns each acknowledged number and id. */
async function placeUntilKilled(file: string, first: number): Promise<Map<number, string>> {
  const process_ = startChild(file, first);
  const closed = once(process_, "close");
  const acknowledged = new Map<number, string>();
  for await (const line of createInterface({ input: process_.stdout })) {
    const [number, id] = line.split(" ");
    acknowledged.set(Number(number), id!);
    if (acknowledged.size === ordersPerRound) process_.kill("SIGKILL");
  }
  await closed;
  expect(process_.signalCode).toBe("SIGKILL");
  return acknowledged;
}

function refusalToOpen(file: string): string | undefined {
  try {
    openSqliteOrderStore(file).close();
  } catch (error) {
    return reasonOf(error);
  }
  return undefined;
}

it("a second process cannot open the file while the first lives, and can once it was killed", async () => {
  const file = join(directory, "orders.db");
  const process_ = startChild(file, 1);
  await once(process_.stdout, "data");
  expect(refusalToOpen(file)).toBe("store_in_use");
  const closed = once(process_, "close");
  process_.stdout.resume();
  process_.kill("SIGKILL");
  await closed;
  expect(refusalToOpen(file)).toBeUndefined();
});

it("every acknowledged order is there exactly once after each of several kills", async () => {
  const file = join(directory, "orders.db");
  const acknowledged = new Map<number, string>();
  for (let round = 1; round <= rounds; round++) {
    const first = Math.max(0, ...acknowledged.keys()) + 1_000;
    for (const [number, id] of await placeUntilKilled(file, first)) acknowledged.set(number, id);

    const store = openSqliteOrderStore(file);
    for (const [n, id] of acknowledged) {
      expect(await store.byId(id)).toEqual({
        id,
        userId: "user2",
        lines: [
          { name: `first of ${n}`, quantity: 1, priceMinor: n },
          { name: `second of ${n}`, quantity: 2, priceMinor: n },
        ],
        totalMinor: 3 * n,
        status: "pending",
        createdAtMs: n,
      });
      const again = store.place({
        userId: "user2",
        lines: [{ name: "not to be placed", quantity: 1, priceMinor: 1 }],
        totalMinor: 1,
        createdAtMs: n,
        idempotency: { key: `${n}`, scope: "user2", requestHash: `${n}` },
      });
      expect(await again).toMatchObject({ order: { id }, replayed: true });
    }
    expect(new Set(acknowledged.values()).size).toBe(acknowledged.size);
    // At each kill one order may have been stored whose acknowledgement did not get out.
    expect((await store.count()) - acknowledged.size).toBeGreaterThanOrEqual(0);
    expect((await store.count()) - acknowledged.size).toBeLessThanOrEqual(round);
    store.close();
  }
});
