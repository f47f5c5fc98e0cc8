import type { Generated, Kysely } from "kysely";
import type { AuditTables } from "../service/audit-trail.ts";
import { prepared } from "../service/database.ts";
import type { OrderStatus } from "./order.ts";

export interface OrderTable {
  number: Generated<number>;
  user_id: string;
  total_minor: number;
  status: OrderStatus;
  created_at_ms: number;
}

export interface LineTable {
  order_number: number;
  position: number;
  name: string;
  quantity: number;
  price_minor: number;
}

export interface RecordTable {
  order_number: number;
  scope: string;
  key: string;
  request_hash: string;
  created_at_ms: number;
}

/** The store's tables, as the migrations leave them. */
export interface Tables extends AuditTables {
  orders: OrderTable;
  order_lines: LineTable;
  idempotency_records: RecordTable;
}

export function queriesOf(build: Kysely<Tables>) {
  return {
    /** An order has at least one line. */
    order: prepared(({ number }: { number: number }) =>
      build
        .selectFrom("orders")
        .innerJoin("order_lines", "order_lines.order_number", "orders.number")
        .selectAll("orders")
        .select(["order_lines.name", "order_lines.quantity", "order_lines.price_minor"])
        .where("orders.number", "=", number)
        .orderBy("order_lines.position"),
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
    newestOfAll: prepared((it: { end: number; limit: number }) =>
      build.selectFrom("orders").selectAll().where("number", "<", it.end).orderBy("number", "desc").limit(it.limit),
    ),
    /** Returns a row when that changed something. */
    setStatus: prepared(({ number, status }: { number: number; status: OrderStatus }) =>
      build
        .updateTable("orders")
        .set({ status })
        .where("number", "=", number)
        .where("status", "!=", status)
        .returning("number"),
    ),
    count: prepared(() => build.selectFrom("orders").select((eb) => eb.fn.countAll<number>().as("n"))),
  };
}
