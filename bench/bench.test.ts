import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makeRandom } from "../tests/random.ts";
import { runArrivals } from "./arrivals.ts";
import { readCommand } from "./options.ts";
import { openStore, storeKinds } from "./work.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "bench-test-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

it("says which option cannot be", () => {
  expect(() => readCommand(["--peers", "nobody"])).toThrow("there is no nobody");
  expect(() => readCommand(["--clients", "many"])).toThrow('--clients: expected a number from 1 on, got "many"');
  expect(() => readCommand(["--stores", "memory"])).toThrow("--stores");
});

it.each(storeKinds)("keeps an order once for its key, and no other order for it: %s", async (kind) => {
  const store = openStore(kind, directory);
  const order = { userId: "user2", items: [{ name: "Mouse", quantity: 1, price: 2 }], totalMinor: 200 };
  const first = await store.place({ ...order, idempotencyKey: "a" });
  expect(await store.place({ ...order, idempotencyKey: "a" })).toEqual(first);
  expect(await store.place({ ...order, idempotencyKey: "b" })).not.toEqual(first);
  const another = { ...order, items: [{ name: "Mouse", quantity: 2, price: 2 }], idempotencyKey: "a" };
  await expect(store.place(another)).rejects.toThrow("another request");
  expect(store.count()).toBe(2);
  store.close();
  expect(existsSync(join(directory, "orders.db"))).toBe(kind !== "memory");
});

it("offers as much as it is told, at the same times for the same seed", async () => {
  const [one, other] = [makeRandom(3), makeRandom(3)];
  expect([one(), one(), one()]).toEqual([other(), other(), other()]);
  const early: number[] = [];
  let arrived = 0;
  await runArrivals({ rate: 2_000, seconds: 0.2, seed: 3 }, (dueMs) => {
    arrived += 1;
    if (performance.now() < dueMs) early.push(dueMs);
  });
  // 400 on average, and for this seed always the same.
  expect(arrived).toBe(404);
  expect(early).toEqual([]);
});
