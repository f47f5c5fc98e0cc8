import type { Generated, Insertable, Selectable } from "kysely";
import { openSqlite, prepared, type Run, type Sqlite } from "../service/sqlite.ts";
import type { OnHealth } from "../service/sqlite-health.ts";
import { orders } from "./migrations/0001-orders.ts";
import {
  cancel,
  type Order,
  type OrderLine,
  type OrderStatus,
  type OrderSummary,
  orderId,
  orderNumber,
} from "./order.ts";
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

interface LineTable {
  order_number: number;
  position: number;
  name: string;
  quantity: number;
  price_minor: number;
}

interface Tables {
  orders: OrderTable;
  order_lines: LineTable;
  idempotency_records: {
    order_number: number;
    scope: string;
    key: string;
    request_hash: string;
    created_at_ms: number;
  };
}

type Sql = Sqlite<Tables>["build"];

/** An `OrderStore` in the SQLite file at `file`; see `openSqlite` for what makes it refuse to open, and when `onHealth` hears of it. */
export function openSqliteOrderStore(file: string, onHealth?: OnHealth): OrderStore {
  const db = openSqlite<Tables>(file, [orders], onHealth);
  const queries = makeQueries(db.build);

  function read(run: Run, number: number | undefined): Order | undefined {
    if (number === undefined) return undefined;
    const [row] = run(queries.order({ number }));
    return row && { ...toSummary(row), lines: run(queries.lines({ number })).map(toLine) };
  }

  /** The first answer to this request, if it had one. */
  function replay(run: Run, { scope, key, requestHash }: Idempotency): Placed | undefined {
    const [record] = run(queries.record({ scope, key }));
    if (!record) return undefined;
    if (record.request_hash !== requestHash) throw refusals.keyUsed();
    // Every order is acknowledged as pending, and nothing else of it changes later.
    return { order: { ...read(run, record.order_number)!, status: "pending" }, replayed: true };
  }

  function insert(run: Run, { userId, lines, totalMinor, createdAtMs }: NewOrder): Order {
    const row = { user_id: userId, total_minor: totalMinor, status: "pending" as const, created_at_ms: createdAtMs };
    const { number } = run(queries.addOrder(row))[0]!;
    for (const [position, { name, quantity, priceMinor }] of lines.entries()) {
      run(queries.addLine({ order_number: number, position, name, quantity, price_minor: priceMinor }));
    }
    return { ...toSummary({ ...row, number }), lines: lines.map((line) => ({ ...line })) };
  }

  function record(run: Run, number: number, { idempotency, createdAtMs }: NewOrder): void {
    run(queries.purgeRecords({ before: createdAtMs - idempotencyMsMin }));
    const { scope, key, requestHash } = idempotency;
    run(queries.addRecord({ scope, key, request_hash: requestHash, order_number: number, created_at_ms: createdAtMs }));
  }

  function list(run: Run, userId: string, { limit = listMax, before }: ListOptions): OrderSummary[] {
    if (!Number.isInteger(limit) || limit < 1 || limit > listMax) throw refusals.limit();
    const end = before === undefined ? Number.MAX_SAFE_INTEGER : orderNumber(before);
    if (end === undefined) throw refusals.before();
    return run(queries.newest({ userId, end, limit })).map(toSummary).reverse();
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
    byId: (id) => db.read((run) => read(run, orderNumber(id))),
    listByUser: (userId, options = {}) => db.read((run) => list(run, userId, options)),
    cancel: (id) =>
      db.unit((run) => {
        const order = read(run, orderNumber(id));
        if (!order) return undefined;
        const cancelled = cancel(order);
        run(queries.setStatus({ number: orderNumber(id)!, status: cancelled.status }));
        return cancelled;
      }),
    count: () => db.read((run) => run(queries.count({}))[0]!.n),
    isWritable: db.isWritable,
    copyTo: db.copyTo,
    close: db.close,
  };
}

function makeQueries(build: Sql) {
  return {
    order: prepared(({ number }: { number: number }) =>
      build.selectFrom("orders").selectAll().where("number", "=", number),
    ),
    lines: prepared(({ number }: { number: number }) =>
      build
        .selectFrom("order_lines")
        .select(["name", "quantity", "price_minor"])
        .where("order_number", "=", number)
        .orderBy("position"),
    ),
    newest: prepared((it: { userId: string; end: number; limit: number }) =>
      build
        .selectFrom("orders")
        .selectAll()
        .where("user_id", "=", it.userId)
        .where("number", "<", it.end)
        .orderBy("number", "desc")
        .limit(it.limit),
    ),
    record: prepared(({ scope, key }: Pick<Idempotency, "scope" | "key">) =>
      build
        .selectFrom("idempotency_records")
        .select(["request_hash", "order_number"])
        .where("scope", "=", scope)
        .where("key", "=", key),
    ),
    addOrder: prepared(({ user_id, total_minor, status, created_at_ms }: Insertable<OrderTable>) =>
      build.insertInto("orders").values({ user_id, total_minor, status, created_at_ms }).returning("number"),
    ),
    addLine: prepared(({ order_number, position, name, quantity, price_minor }: LineTable) =>
      build.insertInto("order_lines").values({ order_number, position, name, quantity, price_minor }),
    ),
    addRecord: prepared(({ order_number, scope, key, request_hash, created_at_ms }: Tables["idempotency_records"]) =>
      build.insertInto("idempotency_records").values({ order_number, scope, key, request_hash, created_at_ms }),
    ),
    purgeRecords: prepared(({ before }: { before: number }) => {
      const old = build.selectFrom("idempotency_records").select("order_number").where("created_at_ms", "<", before);
      const oldest = old.orderBy("created_at_ms").limit(recordsPurgedMax);
      return build.deleteFrom("idempotency_records").where("order_number", "in", oldest);
    }),
    setStatus: prepared(({ number, status }: { number: number; status: OrderStatus }) =>
      build.updateTable("orders").set({ status }).where("number", "=", number),
    ),
    count: prepared(() => build.selectFrom("orders").select((eb) => eb.fn.countAll<number>().as("n"))),
  };
}

function toLine({ name, quantity, price_minor: priceMinor }: Omit<LineTable, "order_number" | "position">): OrderLine {
  return { name, quantity, priceMinor };
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
