// The work that every system of the comparison does: whose order it is, what is checked of it, and where it is kept.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { makeHealth } from "../shop/service/sqlite-health.ts";
import { makeUnits } from "../shop/service/sqlite-units.ts";

export interface Item {
  /** 1 to 100 characters. */
  readonly name: string;
  /** A whole number, 1 to 10,000. */
  readonly quantity: number;
  /** Of one piece, 0 to 1,000,000, at most two decimals. */
  readonly price: number;
}

/** What a client is answered. */
export interface CreatedOrder {
  readonly orderId: string;
  readonly total: number;
  readonly status: string;
  readonly items: readonly Item[];
}

export interface WorkUser {
  readonly id: string;
  readonly username: string;
  readonly password: string;
  readonly permissions: readonly string[];
}

/** Of all that may be done, what an order needs. */
export const createPermission = "order.create";

/** Who orders; as in the shop's own seed. */
export const bob: WorkUser = {
  id: "user2",
  username: "bob",
  password: "password",
  permissions: [createPermission, "order.view", "profile.edit"],
};

/** Who must be refused an order. The shop has nobody like it; the peers' test asks for it. */
export const dora: WorkUser = { id: "user4", username: "dora", password: "password", permissions: ["order.view"] };

export const users: readonly WorkUser[] = [bob, dora];

/** What is ordered, every time. */
export const items: readonly Item[] = [
  { name: "Laptop", quantity: 1, price: 999.99 },
  { name: "Mouse", quantity: 2, price: 29.99 },
];

/** Of `items`. */
export const total = 1059.97;

/** Of an idempotency key, for whoever checks it with a schema. */
export const idempotencyKeyPattern = "^[!-~]{1,128}$";

/** 1 to 100 items, nothing but the three fields each; for a system without schemas of its own. @throws what is wrong. */
export function checkItems(value: unknown): readonly Item[] {
  if (!Array.isArray(value) || value.length < 1 || value.length > 100) throw new Error("items: 1 to 100 of them");
  for (const item of value) checkItem(item);
  return value;
}

function checkItem(item: unknown): void {
  if (typeof item !== "object" || item === null) throw new Error("an item is an object");
  const { name, quantity, price } = item as Partial<Item>;
  if (Object.keys(item).length !== 3) throw new Error("an item is its name, quantity and price");
  if (typeof name !== "string" || name.length < 1 || name.length > 100) throw new Error("name: 1 to 100 characters");
  if (typeof quantity !== "number" || !Number.isInteger(quantity) || quantity < 1 || quantity > 10_000) {
    throw new Error("quantity: a whole number from 1 to 10,000");
  }
  if (typeof price !== "number" || !(price >= 0 && price <= 1_000_000)) throw new Error("price: 0 to 1,000,000");
}

/** In cents. @throws if a price has more than two decimals. */
export function totalMinorOf(items_: readonly Item[]): number {
  let sum = 0;
  for (const { quantity, price } of items_) sum += minorOf(price) * quantity;
  return sum;
}

function minorOf(price: number): number {
  const minor = Math.round(price * 100);
  if (minor / 100 !== price) throw new Error("price: at most two decimals");
  return minor;
}

export interface NewOrder {
  readonly userId: string;
  readonly items: readonly Item[];
  readonly totalMinor: number;
  readonly idempotencyKey: string;
}

/**
 * `memory` keeps what `sqlite` keeps. `sqlite` commits each order by itself, as one writes it; `sqlite-grouped` lets the
 * orders of one turn of the event loop share a commit, as the shop's own store does.
 */
export type StoreKind = "memory" | "sqlite" | "sqlite-grouped";
export const storeKinds: readonly StoreKind[] = ["memory", "sqlite", "sqlite-grouped"];

export interface Store {
  /**
   * Resolves when the order is kept, with SQLite: on disk. The same user, key and request again is the same order; rejects
   * when the key was used for another request.
   */
  place(order: NewOrder): Promise<{ orderId: string }>;
  count(): number;
  close(): void;
}

/** Where `sqlite` keeps its orders, in a table `orders`: the harness counts them when the system has ended. */
export function orderFile(directory: string): string {
  return join(directory, "orders.db");
}

/** The same for every system. Answers the parent process's `{ type: "count" }` with `{ type: "count", count }`. */
export function openStore(kind: string | undefined, directory = ""): Store {
  const store = openKind(kind, directory);
  process.on("message", (message: { type?: unknown } | null) => {
    if (message?.type === "count") process.send?.({ type: "count", count: store.count() });
  });
  return store;
}

function openKind(kind: string | undefined, directory: string): Store {
  if (kind === "memory") return makeMemoryStore();
  if (kind === "sqlite") return openSqliteStore(orderFile(directory), false);
  if (kind === "sqlite-grouped") return openSqliteStore(orderFile(directory), true);
  throw new Error(`BENCH_STORE: expected one of ${storeKinds.join(", ")}, got ${JSON.stringify(kind)}`);
}

function makeMemoryStore(): Store {
  const orders = new Map<string, object>();
  const acknowledged = new Map<string, { readonly orderId: string; readonly requestHash: string }>();
  return {
    async place({ idempotencyKey, items: lines, userId, totalMinor }) {
      const requestHash = hashOf(lines);
      const key = `${userId} ${idempotencyKey}`;
      const earlier = acknowledged.get(key);
      if (earlier) return replayed(earlier, requestHash);
      const orderId = `order${orders.size + 1}`;
      const kept = lines.map(({ name, quantity, price }) => ({ name, quantity, priceMinor: minorOf(price) }));
      orders.set(orderId, { userId, lines: kept, totalMinor, status: "pending", createdAtMs: Date.now() });
      acknowledged.set(key, { orderId, requestHash });
      return { orderId };
    },
    count: () => orders.size,
    close() {},
  };
}

/** The settings and the tables are those of the shop's own store (shop/service/sqlite.ts, shop/orders/migrations). */
const schema = `
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA fullfsync = ON;
  PRAGMA temp_store = MEMORY;
  PRAGMA foreign_keys = ON;
  CREATE TABLE orders (
    number INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL, total_minor INTEGER NOT NULL,
    status TEXT NOT NULL, created_at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX orders_by_user ON orders (user_id);
  CREATE TABLE order_lines (
    order_number INTEGER NOT NULL REFERENCES orders (number), position INTEGER NOT NULL, name TEXT NOT NULL,
    quantity INTEGER NOT NULL, price_minor INTEGER NOT NULL, PRIMARY KEY (order_number, position)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE idempotency_records (
    order_number INTEGER PRIMARY KEY REFERENCES orders (number), scope TEXT NOT NULL, key TEXT NOT NULL,
    request_hash TEXT NOT NULL, created_at_ms INTEGER NOT NULL, UNIQUE (scope, key)
  ) STRICT;
  CREATE INDEX idempotency_records_by_age ON idempotency_records (created_at_ms);`;

function openSqliteStore(file: string, isGrouped: boolean): Store {
  const db = new DatabaseSync(file);
  db.exec(schema);
  const find = db.prepare("SELECT order_number, request_hash FROM idempotency_records WHERE scope = ? AND key = ?");
  const addOrder = db.prepare(
    "INSERT INTO orders (user_id, total_minor, status, created_at_ms) VALUES (?, ?, 'pending', ?)",
  );
  const addLine = db.prepare("INSERT INTO order_lines VALUES (?, ?, ?, ?, ?)");
  const addRecord = db.prepare("INSERT INTO idempotency_records VALUES (?, ?, ?, ?, ?)");
  const counted = db.prepare("SELECT count(*) AS n FROM orders");

  function insert({ userId, items: lines, totalMinor, idempotencyKey }: NewOrder): { orderId: string } {
    const requestHash = hashOf(lines);
    const earlier = find.get(userId, idempotencyKey);
    if (earlier) {
      return replayed({ orderId: `order${earlier.order_number}`, requestHash: `${earlier.request_hash}` }, requestHash);
    }
    const nowMs = Date.now();
    const number = addOrder.run(userId, totalMinor, nowMs).lastInsertRowid;
    let position = 0;
    for (const { name, quantity, price } of lines) addLine.run(number, position++, name, quantity, minorOf(price));
    addRecord.run(number, userId, idempotencyKey, requestHash, nowMs);
    return { orderId: `order${number}` };
  }

  function commit(order: NewOrder): { orderId: string } {
    db.exec("BEGIN IMMEDIATE");
    try {
      const placed = insert(order);
      db.exec("COMMIT");
      return placed;
    } catch (error) {
      db.exec("ROLLBACK");
      throw error;
    }
  }

  const units = makeUnits(
    db,
    makeHealth(() => {}),
  );
  return {
    place: isGrouped ? (order) => units.add(() => insert(order)) : async (order) => commit(order),
    count: () => Number(counted.get()?.n),
    close: () => db.close(),
  };
}

function replayed(earlier: { readonly orderId: string; readonly requestHash: string }, requestHash: string) {
  if (earlier.requestHash !== requestHash) throw new Error("this idempotency key was used for another request");
  return { orderId: earlier.orderId };
}

function hashOf(lines: readonly Item[]): string {
  const spelled = lines.map(({ name, quantity, price }) => [name, quantity, price]);
  return createHash("sha256").update(JSON.stringify(spelled)).digest("base64url");
}
