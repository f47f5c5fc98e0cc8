import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type PostgresServer, startPostgres, whyNoPostgres } from "../../tests/postgres.ts";
import { auditKeptMs } from "../service/audit.ts";
import { linesMax, type OrderLine } from "./order.ts";
import { idempotencyMsMin, listMax, type NewOrder, type OrderStore } from "./store.ts";
import { openOrderStore, openSqliteOrderStore } from "./store-sql.ts";

const lines: OrderLine[] = [
  { name: "Laptop", quantity: 1, priceMinor: 99_999 },
  { name: "Mouse \u{1f42d}\t\\{}'\"", quantity: 2, priceMinor: 2_999 },
];

/** An order of bob's under `key`, whose request hash is the key's unless said otherwise. */
function orderOf(key: string, change: Partial<NewOrder> = {}, requestHash = `hash of ${key}`): NewOrder {
  const idempotency = { key, scope: change.userId ?? "user2", requestHash };
  return { userId: "user2", lines, totalMinor: 105_997, createdAtMs: 1_000, idempotency, ...change };
}

const byAlice = { accountId: "user1", requestId: "0123456789abcdef0123456789abcdef", nowMs: 120_000 };

const placedAs = (id: string) => ({
  id,
  userId: "user2",
  lines,
  totalMinor: 105_997,
  status: "pending",
  createdAtMs: 1_000,
});

let directory = "";
let file = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-orders-"));
  file = join(directory, "orders.db");
});
afterEach(() => rmSync(directory, { recursive: true }));

let postgres: PostgresServer | undefined;
beforeAll(async () => {
  if (!whyNoPostgres) postgres = await startPostgres();
});
afterAll(() => postgres?.[Symbol.asyncDispose]());

const kinds: Record<string, () => OrderStore | Promise<OrderStore>> = {
  "SQLite in memory": () => openSqliteOrderStore(":memory:"),
  sqlite: () => openSqliteOrderStore(file),
  postgres: () => openOrderStore(postgres!.place()),
};

describe.each(Object.entries(kinds))("an order store in %s", (kind, open) => {
  let store: OrderStore;
  beforeEach(async ({ skip }) => {
    if (kind === "postgres" && whyNoPostgres) skip(whyNoPostgres);
    store = await open();
  });
  afterEach(() => store?.close());

  const ids = async (userId: string, options?: { limit?: number; before?: string }) =>
    (await store.listByUser(userId, options)).map((order) => order.id);

  it("numbers orders as they are placed and gives them back whole", async () => {
    expect(await store.place(orderOf("a"))).toEqual({ order: placedAs("order1"), replayed: false });
    expect((await store.place(orderOf("b"))).order.id).toBe("order2");
    expect(await store.byId("order1")).toEqual(placedAs("order1"));
    expect(await store.count()).toBe(2);
  });

  it("keeps an order of the most lines, in their sequence", async () => {
    const many = Array.from({ length: linesMax }, (_, n) => ({ name: `${n}`, quantity: 10_000, priceMinor: 1e8 }));
    await store.place(orderOf("a", { lines: many, totalMinor: 1e14 }));
    expect(await store.byId("order1")).toMatchObject({ lines: many, totalMinor: 1e14 });
  });

  it("keeps an order as it was when placed, whatever becomes of the caller's lines", async () => {
    const own = structuredClone(lines) as { -readonly [K in keyof OrderLine]: OrderLine[K] }[];
    const { order } = await store.place(orderOf("a", { lines: own }));
    own[0]!.priceMinor = 1;
    own.pop();
    expect(order).toEqual(placedAs("order1"));
    expect(await store.byId("order1")).toEqual(placedAs("order1"));
  });

  it("has no other order", async () => {
    await store.place(orderOf("a"));
    for (const id of ["order0", "order2", "order01", "1", ""]) {
      expect(await store.byId(id)).toBeUndefined();
      expect(await store.cancel(id, byAlice)).toBeUndefined();
    }
  });

  it("places one order for fifty equal requests at once, and all get the same answer", async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => store.place(orderOf("a"))));
    expect(new Set(answers.map((answer) => answer.order.id)).size).toBe(1);
    expect(answers.filter((answer) => !answer.replayed)).toHaveLength(1);
    expect(await store.count()).toBe(1);
  });

  it("refuses a key that was used for another request, and places nothing", async () => {
    await store.place(orderOf("a"));
    const other = store.place(orderOf("a", {}, "another hash"));
    await expect(other).rejects.toMatchObject({ code: "already_exists", reason: "idempotency_mismatch" });
    expect(await store.count()).toBe(1);
  });

  it("keeps the keys of different scopes apart", async () => {
    await store.place(orderOf("a"));
    const other = await store.place(orderOf("a", { userId: "user3" }, "another hash"));
    expect(other).toMatchObject({ order: { id: "order2" }, replayed: false });
    const glued = { key: "c", scope: "a,b", requestHash: "1" };
    await store.place(orderOf("", { idempotency: glued }));
    const shifted = await store.place(orderOf("", { idempotency: { ...glued, key: "b,c", scope: "a" } }));
    expect(shifted.replayed).toBe(false);
  });

  it("answers a repetition as it did first, though the order was cancelled meanwhile", async () => {
    await store.place(orderOf("a"));
    await store.cancel("order1", byAlice);
    const again = await store.place(orderOf("a", { createdAtMs: 2_000 }));
    expect(again).toEqual({ order: placedAs("order1"), replayed: true });
    expect((await store.byId("order1"))?.status).toBe("cancelled");
  });

  it("recognises a repetition for a day, and forgets keys only after it", async () => {
    await store.place(orderOf("a"));
    await store.place(orderOf("b", { createdAtMs: 1_000 + idempotencyMsMin }));
    expect((await store.place(orderOf("a"))).replayed).toBe(true);
    await store.place(orderOf("c", { createdAtMs: 1_001 + idempotencyMsMin }));
    expect(await store.place(orderOf("a"))).toMatchObject({ order: { id: "order4" }, replayed: false });
    expect((await store.place(orderOf("b"))).replayed).toBe(true);
  });

  it("cancels an order once; again changes nothing", async () => {
    await store.place(orderOf("a"));
    const cancelled = { ...placedAs("order1"), status: "cancelled" };
    expect(await store.cancel("order1", byAlice)).toEqual(cancelled);
    expect(await store.cancel("order1", byAlice)).toEqual(cancelled);
    expect(await store.byId("order1")).toEqual(cancelled);
    expect(await store.listByUser("user2")).toMatchObject([{ id: "order1", status: "cancelled" }]);
  });

  it("keeps a trail of who cancelled or looked at whose order, and of nothing that changed nothing", async () => {
    const trail = (page = {}) => store.audit({ limit: 100, nowMs: byAlice.nowMs, ...page });
    await store.place(orderOf("a"));
    expect(await trail()).toEqual([]);
    const order = (await store.byId("order1"))!;
    await store.noteView(order, byAlice);
    await Promise.all(Array.from({ length: 5 }, () => store.cancel("order1", byAlice)));
    const { requestId, nowMs: atMs } = byAlice;
    const entry = { actorId: "user1", subjectId: "user2", requestId, atMs, detail: "order1", count: 1 };
    const both = [
      { ...entry, number: 2, event: "order_cancelled" },
      { ...entry, number: 1, event: "order_viewed" },
    ];
    expect(await trail()).toEqual(both);
    expect(await trail({ limit: 1 })).toEqual([both[0]]);
    expect(await trail({ limit: 1, before: 2 })).toEqual([both[1]]);
    expect(await trail({ subjectId: "user1" })).toEqual([]);
    await store.noteListing("user3", byAlice);
    await store.noteListing(undefined, byAlice);
    const listing = { event: "orders_listed", actorId: "user1", requestId, atMs, count: 1 };
    expect(await trail({ limit: 2 })).toEqual([
      { ...listing, number: 4 },
      { ...listing, number: 3, subjectId: "user3" },
    ]);
    expect(await store.purgeAudit(byAlice.nowMs + auditKeptMs + 1)).toBe(0);
    const later = { ...byAlice, nowMs: byAlice.nowMs + auditKeptMs + 1 };
    await store.noteView(order, later);
    expect(await store.purgeAudit(later.nowMs)).toBe(4);
    expect((await trail({ nowMs: later.nowMs })).map(({ number }) => number)).toEqual([5]);
  });

  it("counts refusals by user, permission and minute, and has them when the minute is over", async () => {
    for (let n = 0; n < 30; n++) await store.refuse("order.cancel", { accountId: "user2", nowMs: 60_000 + n });
    await store.refuse("order.create", { accountId: "user2", nowMs: 60_100 });
    await store.refuse("order.cancel", { accountId: "user3", nowMs: 60_100 });
    expect(await store.audit({ limit: 100, nowMs: 119_999 })).toEqual([]);
    const refused = await store.audit({ limit: 100, nowMs: 120_000 });
    expect(refused.map(({ subjectId, detail, count }) => [subjectId, detail, count]).sort()).toEqual([
      ["user2", "order.cancel", 30],
      ["user2", "order.create", 1],
      ["user3", "order.cancel", 1],
    ]);
    expect(new Set(refused.map(({ event, atMs }) => `${event} ${atMs}`))).toEqual(
      new Set(["permission_refused 60000"]),
    );
  });

  it("lists a user's own orders, newest last, without their lines", async () => {
    await store.place(orderOf("a"));
    await store.place(orderOf("b", { userId: "user3" }));
    await store.place(orderOf("c"));
    expect(await ids("user2")).toEqual(["order1", "order3"]);
    expect(await ids("user9")).toEqual([]);
    const { lines: _, ...summary } = placedAs("order1");
    expect((await store.listByUser("user2"))[0]).toEqual(summary);
  });

  it("lists the newest first when there are many, page by page", async () => {
    for (let n = 1; n <= 11; n++) await store.place(orderOf(`${n}`));
    expect(await ids("user2", { limit: 2 })).toEqual(["order10", "order11"]);
    expect(await ids("user2", { limit: 2, before: "order10" })).toEqual(["order8", "order9"]);
    expect(await ids("user2", { before: "order2" })).toEqual(["order1"]);
    expect(await ids("user2", { before: "order1" })).toEqual([]);
  });

  it("lists everybody's orders, newest last, page by page", async () => {
    for (let n = 1; n <= 11; n++) await store.place(orderOf(`${n}`, { userId: n % 2 ? "user2" : "user3" }));
    const all = async (options?: { limit?: number; before?: string }) =>
      (await store.listAll(options)).map(({ id, userId }) => `${id} ${userId}`);
    expect(await all({ limit: 2 })).toEqual(["order10 user3", "order11 user2"]);
    expect(await all({ limit: 2, before: "order10" })).toEqual(["order8 user3", "order9 user2"]);
    expect(await all({ before: "order1" })).toEqual([]);
    expect(await all()).toHaveLength(11);
  });

  it.each([
    { limit: 0 },
    { limit: -1 },
    { limit: 1.5 },
    { limit: listMax + 1 },
    { limit: Number.NaN },
    { before: "x" },
  ])("refuses to list with %o", async (options) => {
    await expect(store.listByUser("user2", options)).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(store.listAll(options)).rejects.toMatchObject({ code: "invalid_argument" });
  });
});

describe.skipIf(whyNoPostgres)("an order store in postgres", () => {
  it("of two instances places one order for fifty equal requests, half of them at each, in each of many rounds", async () => {
    const place = postgres!.place();
    const [one, other] = await Promise.all([openOrderStore(place), openOrderStore(place)]);
    // Numbers may be missing: one of two that insert the same order at once has taken one in vain.
    let last = "";
    for (let round = 1; round <= 5; round++) {
      const key = `key ${round}`;
      const asked = Array.from({ length: 50 }, (_, n) => (n % 2 ? one : other).place(orderOf(key)));
      const answers = await Promise.all(asked);
      expect(new Set(answers.map((answer) => answer.order.id)).size).toBe(1);
      expect(answers.filter((answer) => !answer.replayed)).toHaveLength(1);
      last = answers[0]!.order.id;
      expect(await one.byId(last)).toMatchObject({ lines });
      expect(await other.count()).toBe(round);
    }
    const cancelled = Array.from({ length: 10 }, (_, n) => (n % 2 ? one : other).cancel(last, byAlice));
    expect(new Set((await Promise.all(cancelled)).map((order) => order?.status))).toEqual(new Set(["cancelled"]));
    await Promise.all([one.close(), other.close()]);
  });

  it("gives no id twice to many orders at once, of two instances, and forgets old keys meanwhile", async () => {
    const place = postgres!.place();
    const stores = await Promise.all([openOrderStore(place), openOrderStore(place)]);
    const placing = Array.from({ length: 200 }, (_, n) =>
      stores[n % 2]!.place(orderOf(`${n}`, { createdAtMs: n % 4 === 0 ? 1_000 : 1_001 + idempotencyMsMin })),
    );
    const placed = await Promise.all(placing);
    expect(new Set(placed.map(({ order }) => order.id)).size).toBe(200);
    expect(await stores[0].listByUser("user2")).toHaveLength(200);
    await Promise.all(stores.map((store) => store.close()));
  });

  it.each([
    ["a user's list", "SELECT * FROM orders WHERE user_id = 'user2' AND number < 9 ORDER BY number DESC LIMIT 5"],
    ["a key", "SELECT * FROM idempotency_records WHERE scope = 'a' AND key = 'b'"],
    ["old keys", "SELECT * FROM idempotency_records WHERE created_at_ms < 5 ORDER BY created_at_ms LIMIT 10"],
    ["an order's lines", "SELECT * FROM order_lines WHERE order_number = 5 ORDER BY position"],
  ])("finds %s by an index, without sorting", async (_, sql) => {
    const place = postgres!.place();
    await (await openOrderStore(place)).close();
    const toPlan = `SET search_path = ${place.schema}; SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN ${sql}`;
    const plan = JSON.stringify(await postgres!.sql(toPlan));
    expect(plan).toContain("Index Scan");
    expect(plan).not.toMatch(/Sort|Seq Scan/);
  });
});

describe("an order store in sqlite", () => {
  it("keeps orders, lines and keys over a restart, and never gives an id twice", async () => {
    const before = openSqliteOrderStore(file);
    await before.place(orderOf("a"));
    await before.place(orderOf("b"));
    await before.cancel("order2", byAlice);
    before.close();
    const after = openSqliteOrderStore(file);
    expect(await after.byId("order1")).toEqual(placedAs("order1"));
    expect((await after.byId("order2"))?.status).toBe("cancelled");
    expect((await after.place(orderOf("a"))).replayed).toBe(true);
    expect((await after.place(orderOf("c"))).order.id).toBe("order3");
    after.close();
  });

  it.each([
    ["a user's list", "SELECT * FROM orders WHERE user_id = ? AND number < ? ORDER BY number DESC LIMIT ?"],
    ["a key", "SELECT * FROM idempotency_records WHERE scope = ? AND key = ?"],
    ["old keys", "SELECT * FROM idempotency_records WHERE created_at_ms < ? ORDER BY created_at_ms LIMIT 10"],
    ["an order's lines", "SELECT * FROM order_lines WHERE order_number = ? ORDER BY position"],
  ])("finds %s by an index, without sorting", async (_, sql) => {
    openSqliteOrderStore(file).close();
    const db = new DatabaseSync(file, { readOnly: true });
    const plan = db
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map((row) => String(row.detail));
    db.close();
    expect(plan).toHaveLength(1);
    expect(plan[0]).toMatch(/^SEARCH \w+ USING (INDEX|PRIMARY KEY)/);
  });
});
