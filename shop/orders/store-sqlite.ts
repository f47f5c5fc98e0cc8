import type { Generated, Selectable } from "kysely";
import { openSqlite, type Run } from "../service/sqlite.ts";
import { orders } from "./migrations/0001-orders.ts";
import { cancel, type Order, type OrderStatus, type OrderSummary, orderId, orderNumber } from "./order.ts";
import {
  type Idempotency,
  idempotencyMsMin,
  type ListOptions,
  listMax,
  type NewOrder,
  type OrderStore,
  type Placed,
  recordsPurgedMax,
  refusals,
} from "./store.ts";

interface OrderTable {
  number: Generated<number>;
  user_id: string;
  total_minor: number;
  status: OrderStatus;
  created_at_ms: number;
}

interface Tables {
  orders: OrderTable;
  order_lines: { order_number: number; position: number; name: string; quantity: number; price_minor: number };
  idempotency_records: {
    order_number: number;
    scope: string;
    key: string;
    request_hash: string;
    created_at_ms: number;
  };
}

/** An `OrderStore` in the SQLite file at `file`; see `openSqlite` for what makes it refuse to open. */
export function openSqliteOrderStore(file: string): OrderStore {
  const db = openSqlite<Tables>(file, [orders]);
  const { build } = db;

  function read(run: Run, number: number | undefined): Order | undefined {
    if (number === undefined) return undefined;
    const [row] = run(build.selectFrom("orders").selectAll().where("number", "=", number));
    if (!row) return undefined;
    const lines = run(
      build
        .selectFrom("order_lines")
        .select(["name", "quantity", "price_minor"])
        .where("order_number", "=", number)
        .orderBy("position"),
    );
    const { id, ...rest } = toSummary(row);
    return {
      id,
      ...rest,
      lines: lines.map(({ name, quantity, price_minor: priceMinor }) => ({ name, quantity, priceMinor })),
    };
  }

  /** The first answer to this request, if it had one. */
  function replay(run: Run, { scope, key, requestHash }: Idempotency): Placed | undefined {
    const [record] = run(
      build
        .selectFrom("idempotency_records")
        .select(["request_hash", "order_number"])
        .where("scope", "=", scope)
        .where("key", "=", key),
    );
    if (!record) return undefined;
    if (record.request_hash !== requestHash) throw refusals.keyUsed();
    // Every order is acknowledged as pending, and nothing else of it changes later.
    return { order: { ...read(run, record.order_number)!, status: "pending" }, replayed: true };
  }

  function insert(run: Run, { userId, lines, totalMinor, createdAtMs }: NewOrder): Order {
    const row = { user_id: userId, total_minor: totalMinor, status: "pending" as const, created_at_ms: createdAtMs };
    const { number } = run(build.insertInto("orders").values(row).returning("number"))[0]!;
    const rows = lines.map(({ name, quantity, priceMinor }, position) => ({
      order_number: number,
      position,
      name,
      quantity,
      price_minor: priceMinor,
    }));
    run(build.insertInto("order_lines").values(rows));
    return { ...toSummary({ ...row, number }), lines: structuredClone(lines) };
  }

  function record(run: Run, number: number, { idempotency, createdAtMs }: NewOrder): void {
    const old = build
      .selectFrom("idempotency_records")
      .select("order_number")
      .where("created_at_ms", "<", createdAtMs - idempotencyMsMin)
      .orderBy("created_at_ms")
      .limit(recordsPurgedMax);
    run(build.deleteFrom("idempotency_records").where("order_number", "in", old));
    const { scope, key, requestHash } = idempotency;
    run(
      build.insertInto("idempotency_records").values({
        scope,
        key,
        request_hash: requestHash,
        order_number: number,
        created_at_ms: createdAtMs,
      }),
    );
  }

  function list(run: Run, userId: string, { limit = listMax, before }: ListOptions): OrderSummary[] {
    if (!Number.isInteger(limit) || limit < 1 || limit > listMax) throw refusals.limit();
    const newest = build
      .selectFrom("orders")
      .selectAll()
      .where("user_id", "=", userId)
      .orderBy("number", "desc")
      .limit(limit);
    if (before === undefined) return run(newest).map(toSummary).reverse();
    const end = orderNumber(before);
    if (end === undefined) throw refusals.before();
    return run(newest.where("number", "<", end))
      .map(toSummary)
      .reverse();
  }

  return {
    place: (order) =>
      db.unit((run) => {
        const earlier = replay(run, order.idempotency);
        if (earlier) return earlier;
        const placed = insert(run, order);
        record(run, orderNumber(placed.id)!, order);
        return { order: placed, replayed: false };
      }),
    byId: (id) => db.unit((run) => read(run, orderNumber(id))),
    listByUser: (userId, options = {}) => db.unit((run) => list(run, userId, options)),
    cancel: (id) =>
      db.unit((run) => {
        const order = read(run, orderNumber(id));
        if (!order) return undefined;
        const cancelled = cancel(order);
        run(build.updateTable("orders").set({ status: cancelled.status }).where("number", "=", orderNumber(id)!));
        return cancelled;
      }),
    count: () =>
      db.unit((run) => run(build.selectFrom("orders").select((eb) => eb.fn.countAll<number>().as("n")))[0]!.n),
    close: db.close,
  };
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
