// `npm run bench:stores`: orders per second through the store alone, on SQLite and on a private PostgreSQL that syncs to
// the same disk, and what other ways of placing an order on PostgreSQL would give. All that is measured meets the same machine.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addOrder } from "../shop/orders/add-order.ts";
import type { NewOrder } from "../shop/orders/store.ts";
import { migrations, openSqliteOrderStore, orderStore } from "../shop/orders/store-sql.ts";
import type { Tables } from "../shop/orders/tables.ts";
import type { Database } from "../shop/service/database.ts";
import { openPostgres, type Postgres } from "../shop/service/postgres.ts";
import { numberFrom, readCommandLine, UsageError } from "../tests/options.ts";
import { startPostgres, whyNoPostgres } from "../tests/postgres.ts";
import { median } from "./results.ts";

const rounds = readCommandLine({
  usage: "npm run bench:stores -- [ROUNDS]   measurements of each (default: 5)",
  options: {},
  takesWords: true,
  read(_, [rounds = "5", ...more]) {
    if (more.length > 0) throw new UsageError("It takes a number of rounds, and nothing else");
    return numberFrom(1, "ROUNDS", rounds);
  },
});
const sampleMs = 1_000;
const concurrencies = [1, 16, 64];
const groupSize = 8;

/** Places orders, one or several, and says how many. */
type Place = (next: () => NewOrder) => Promise<number>;

if (whyNoPostgres) throw new Error(whyNoPostgres);
const directory = mkdtempSync(join(tmpdir(), "bench-stores-"));
await using server = await startPostgres({ isDurable: true });
const place = server.place();
let keys = 0;
await using stack = new AsyncDisposableStack();
stack.defer(() => rmSync(directory, { recursive: true }));

const sqlite = openSqliteOrderStore(join(directory, "orders.db"));
stack.defer(() => sqlite.close());
const [first, second] = [await open(), await open()];
const subjects: Record<string, Place> = {
  SQLite: one(sqlite),
  PostgreSQL: one(orderStore(first)),
  "PostgreSQL, two instances": alternating(one(orderStore(first)), one(orderStore(second))),
  "in a SERIALIZABLE transaction": one(orderStore(inTransactions(first))),
  "a statement for each row, SERIALIZABLE": one(orderStore({ ...inTransactions(first), dialect: "sqlite" })),
  [`${groupSize} orders in one transaction`]: grouped(first),
};

const samples = new Map<string, number[]>();
// The first round is not counted: its code is still being compiled.
for (let round = 0; round <= rounds; round++) {
  for (const [name, place] of Object.entries(subjects)) {
    for (const callers of concurrencies) {
      const rate = await measure(place, callers);
      const key = `${name} @${callers}`;
      if (round > 0) samples.set(key, [...(samples.get(key) ?? []), rate]);
    }
  }
}
process.stdout.write(`| orders/s at so many callers | ${concurrencies.join(" | ")} |\n| --- |${" ---: |".repeat(3)}\n`);
for (const name of Object.keys(subjects)) {
  const rates = concurrencies.map((callers) =>
    Math.round(median(samples.get(`${name} @${callers}`)!)).toLocaleString("en"),
  );
  process.stdout.write(`| ${name} | ${rates.join(" | ")} |\n`);
}

async function open(): Promise<Postgres<Tables>> {
  const db = await openPostgres<Tables>(place, migrations);
  stack.defer(() => db.close());
  return db;
}

function one(store: { place(order: NewOrder): Promise<unknown> }): Place {
  return async (next) => {
    await store.place(next());
    return 1;
  };
}

function alternating(...places: Place[]): Place {
  let turn = 0;
  return (next) => places[turn++ % places.length]!(next);
}

function inTransactions(db: Postgres<Tables>): Database<Tables> {
  return { ...db, unit: (work) => db.unit(work, { isRepeatable: true }) };
}

/** Without a savepoint each, which it would need: it could only be slower. */
function grouped(db: Postgres<Tables>): Place {
  const add = addOrder(db);
  return async (next) => {
    const orders = Array.from({ length: groupSize }, next);
    await db.unit(function* () {
      for (const order of orders) yield* add(order);
    });
    return groupSize;
  };
}

async function measure(place: Place, callers: number): Promise<number> {
  const startedMs = performance.now();
  let placed = 0;
  const caller = async () => {
    while (performance.now() < startedMs + sampleMs) {
      const count = await place(nextOrder);
      placed += count;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return (placed / (performance.now() - startedMs)) * 1_000;
}

function nextOrder(): NewOrder {
  const key = `${++keys}`;
  const lines = [
    { name: "Laptop", quantity: 1, priceMinor: 99_999 },
    { name: "Mouse", quantity: 2, priceMinor: 2_999 },
  ];
  const userId = `user${keys % 50}`;
  return {
    userId,
    lines,
    totalMinor: 105_997,
    createdAtMs: Date.now(),
    idempotency: { key, scope: userId, requestHash: key },
  };
}
