import type { Selectable } from "kysely";
import type { Actor, AuditEntry } from "../service/audit.ts";
import { countRefusal, purgeTrail, readTrail, record } from "../service/audit-trail.ts";
import { asFile, type Database, run, type Work } from "../service/database.ts";
import { type OwnStore, openDatabase } from "../service/open-database.ts";
import type { PostgresPlace } from "../service/postgres-place.ts";
import { openSqlite } from "../service/sqlite.ts";
import { label } from "../service/store-label.ts";
import { addOrder } from "./add-order.ts";
import { orders } from "./migrations/0001-orders.ts";
import { audit } from "./migrations/0002-audit.ts";
import { cancel, type Order, type OrderSummary, orderId, orderNumber } from "./order.ts";
import {
  type ListOptions,
  listMax,
  type NewOrder,
  type OrderEvent,
  type OrderStore,
  type Placed,
  refusals,
} from "./store.ts";
import { type OrderTable, queriesOf, type Tables } from "./tables.ts";

export const migrations = [orders, audit, label];

/** An `OrderStore` that lets go of its file at once. */
export interface SqliteOrderStore extends OrderStore {
  close(): void;
}

/** An `OrderStore` in the SQLite file at `file`; see `openSqlite` for what makes it refuse to open. */
export function openSqliteOrderStore(file: string): SqliteOrderStore {
  const db = openSqlite<Tables>(file, migrations);
  return { ...orderStore(db), close: db.close };
}

/** An `OrderStore` at `where`: a file of SQLite by its path, or a database of PostgreSQL. See `openDatabase`. */
export async function openOrderStore(where: string | PostgresPlace, own?: OwnStore): Promise<OrderStore> {
  return orderStore(await openDatabase<Tables>(where, migrations, { application: "flotilla orders", own }));
}

/** An `OrderStore` in any database that `migrations` were applied to. */
export function orderStore(db: Database<Tables>): OrderStore {
  const queries = queriesOf(db.build);
  const add = addOrder(db);
  const trail = db.build.$pickTables<"audit" | "refusals">();

  /** Every order is acknowledged as pending, and nothing else of it changes later. */
  function* replay(number: number): Work<Placed> {
    return { order: { ...toOrder(yield* run(queries.order({ number })))!, status: "pending" }, replayed: true };
  }

  function* place(order: NewOrder): Work<Placed> {
    const { number, earlierHash } = yield* add(order);
    if (earlierHash === undefined) return { order: placedOf(order, number), replayed: false };
    if (earlierHash !== order.idempotency.requestHash) throw refusals.keyUsed();
    return yield* replay(number);
  }

  /** That a change of the status returns a row makes it one cancellation, whoever else cancels at the same time. */
  function* cancelOrder(number: number | undefined, by: Actor): Work<Order | undefined> {
    if (number === undefined) return undefined;
    const order = toOrder(yield* run(queries.order({ number })));
    if (!order) return undefined;
    const cancelled = cancel(order);
    const changed = yield* run(queries.setStatus({ number, status: cancelled.status }));
    if (changed.length > 0) yield* note("order_cancelled", order, by);
    return cancelled;
  }

  function note(event: OrderEvent, { id, userId }: OrderSummary, by: Actor): Work<void> {
    return record(trail, event, { by, subjectId: userId, detail: id });
  }

  async function byId(id: string): Promise<Order | undefined> {
    const number = orderNumber(id);
    return number === undefined ? undefined : toOrder(await db.read(queries.order({ number })));
  }

  return {
    // Its key makes it repeatable; that no key is there twice, and with it no order, is the database's own doing.
    place: (order) => db.unit(() => place(order), { isRepeatable: true, writesOnce: db.dialect === "postgres" }),
    byId,
    async listByUser(userId, options) {
      return (await db.read(queries.newest({ userId, ...pageOf(options) }))).map(toSummary).reverse();
    },
    async listAll(options) {
      return (await db.read(queries.newestOfAll(pageOf(options)))).map(toSummary).reverse();
    },
    cancel: (id, by) => db.unit(() => cancelOrder(orderNumber(id), by), { isRepeatable: true }),
    noteListing: (subjectId, by) => db.unit(() => record(trail, "orders_listed", { by, subjectId })),
    noteView: (order, by) => db.unit(() => note("order_viewed", order, by)),
    refuse: (permission, by) =>
      db.unit(() => countRefusal(trail, "permission_refused", { who: by.accountId ?? "", detail: permission, by })),
    audit: (page) => db.unit(() => readTrail(trail, page) as Work<AuditEntry<OrderEvent>[]>, { isRepeatable: true }),
    purgeAudit: (nowMs) => db.unit(() => purgeTrail(trail, nowMs), { isRepeatable: true }),
    count: async () => (await db.read(queries.count({})))[0]!.n,
    ...asFile(db),
    close: () => db.close(),
  };
}

/** Throws `invalid_argument` for options out of range. */
function pageOf({ limit = listMax, before }: ListOptions = {}): { end: number; limit: number } {
  if (!Number.isInteger(limit) || limit < 1 || limit > listMax) throw refusals.limit();
  const end = before === undefined ? Number.MAX_SAFE_INTEGER : orderNumber(before);
  if (end === undefined) throw refusals.before();
  return { end, limit };
}

function placedOf({ userId, lines, totalMinor, createdAtMs }: NewOrder, number: number): Order {
  const status = "pending";
  return { id: orderId(number), userId, totalMinor, status, createdAtMs, lines: lines.map((line) => ({ ...line })) };
}

/** Of the rows of one order: each holds one line, and all the order's own. */
function toOrder(
  rows: readonly (Selectable<OrderTable> & { name: string; quantity: number; price_minor: number })[],
): Order | undefined {
  const [first] = rows;
  if (!first) return undefined;
  const lines = rows.map(({ name, quantity, price_minor: priceMinor }) => ({ name, quantity, priceMinor }));
  return { ...toSummary(first), lines };
}

function toSummary(row: Selectable<OrderTable>): OrderSummary {
  return {
    id: orderId(row.number),
    userId: row.user_id,
    totalMinor: row.total_minor,
    status: row.status,
    createdAtMs: row.created_at_ms,
  };
}
