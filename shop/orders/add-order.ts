import { type Insertable, type Kysely, sql } from "kysely";
import { type Database, prepared, run, type Work } from "../service/database.ts";
import { type Idempotency, idempotencyMsMin, type NewOrder, recordsPurgedMax } from "./store.ts";
import type { LineTable, OrderTable, RecordTable, Tables } from "./tables.ts";

/** The order that has the key, and what was asked for with it; without `earlierHash` it was added now. */
export interface Added {
  readonly number: number;
  readonly earlierHash?: string;
}

/**
 * The step of a unit that adds an order with its lines and the record of its key, unless the key has one already, and
 * removes some records that are old. Where a statement is a function call it takes many, where each is a journey it
 * takes one.
 */
export function addOrder({ dialect, build }: Database<Tables>): (order: NewOrder) => Work<Added> {
  return dialect === "sqlite" ? addByStatements(build) : addByOneStatement(build);
}

function addByStatements(build: Kysely<Tables>): (order: NewOrder) => Work<Added> {
  const queries = statementsOf(build);
  return function* ({ userId, lines, totalMinor, createdAtMs, idempotency }) {
    const { scope, key, requestHash } = idempotency;
    const [earlier] = yield* run(queries.record({ scope, key }));
    if (earlier) return { number: earlier.order_number, earlierHash: earlier.request_hash };
    const row = { user_id: userId, total_minor: totalMinor, status: "pending" as const, created_at_ms: createdAtMs };
    const { number } = (yield* run(queries.addOrder(row)))[0]!;
    for (const [position, { name, quantity, priceMinor }] of lines.entries()) {
      yield* run(queries.addLine({ order_number: number, position, name, quantity, price_minor: priceMinor }));
    }
    yield* run(queries.purgeRecords({ before: createdAtMs - idempotencyMsMin }));
    const record = { order_number: number, scope, key, request_hash: requestHash, created_at_ms: createdAtMs };
    yield* run(queries.addRecord(record));
    return { number };
  };
}

function statementsOf(build: Kysely<Tables>) {
  return {
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
    addRecord: prepared(({ order_number, scope, key, request_hash, created_at_ms }: RecordTable) =>
      build.insertInto("idempotency_records").values({ order_number, scope, key, request_hash, created_at_ms }),
    ),
    purgeRecords: prepared(({ before }: { before: number }) => {
      const old = build.selectFrom("idempotency_records").select("order_number").where("created_at_ms", "<", before);
      const oldest = old.orderBy("created_at_ms").limit(recordsPurgedMax);
      return build.deleteFrom("idempotency_records").where("order_number", "in", oldest);
    }),
  };
}

/**
 * One statement is atomic by itself. Two of them with one key at once: the index of the keys lets one of them through,
 * and the other, done again, finds the record, and locks it: so its answer too waits until the standby has what it tells of.
 * What is purged is not waited for when somebody else purges it.
 */
function addByOneStatement(build: Kysely<Tables>): (order: NewOrder) => Work<Added> {
  const add = prepared((it: OneStatement) => ({
    compile: () =>
      sql<{ number: number; earlier_hash: string | null }>`
        with earlier as (
          select order_number, request_hash from idempotency_records where scope = ${it.scope} and key = ${it.key}
          for update
        ), added as (
          insert into orders (user_id, total_minor, status, created_at_ms)
          select ${it.userId}, ${it.totalMinor}::bigint, 'pending', ${it.createdAtMs}::bigint
          where not exists (select 1 from earlier)
          returning number
        ), lines as (
          insert into order_lines (order_number, position, name, quantity, price_minor)
          select added.number, line.position - 1, line.name, line.quantity, line.price_minor
          from added, unnest(${it.names}::text[], ${it.quantities}::integer[], ${it.pricesMinor}::bigint[])
            with ordinality as line (name, quantity, price_minor, position)
        ), record as (
          insert into idempotency_records (order_number, scope, key, request_hash, created_at_ms)
          select number, ${it.scope}, ${it.key}, ${it.requestHash}, ${it.createdAtMs}::bigint from added
        ), purged as (
          delete from idempotency_records where order_number in (
            select order_number from idempotency_records where created_at_ms < ${it.before}::bigint
            order by created_at_ms limit ${recordsPurgedMax} for update skip locked
          )
        )
        select number, null as earlier_hash from added
        union all select order_number, request_hash from earlier`.compile(build),
  }));
  return function* ({ userId, lines, totalMinor, createdAtMs, idempotency }) {
    const [row] = yield* run(
      add({
        ...idempotency,
        ...{ userId, totalMinor, createdAtMs },
        names: lines.map(({ name }) => name),
        quantities: lines.map(({ quantity }) => quantity),
        pricesMinor: lines.map(({ priceMinor }) => priceMinor),
        before: createdAtMs - idempotencyMsMin,
      }),
    );
    const { number, earlier_hash: earlierHash } = row!;
    return { number, ...(earlierHash !== null && { earlierHash }) };
  };
}

interface OneStatement extends Idempotency {
  readonly userId: string;
  readonly totalMinor: number;
  readonly createdAtMs: number;
  /** Of the lines, one after the other. */
  readonly names: readonly string[];
  readonly quantities: readonly number[];
  readonly pricesMinor: readonly number[];
  readonly before: number;
}
