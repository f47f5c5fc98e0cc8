import type { Migration } from "../../service/sqlite-migration.ts";

/**
 * AUTOINCREMENT, so that no id is given twice. The index by user ends in the order's number, as every index of SQLite
 * ends in the row's, so a user's newest orders are read without sorting.
 */
export const orders: Migration = {
  name: "orders",
  sql: `
    CREATE TABLE orders (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      user_id TEXT NOT NULL,
      total_minor INTEGER NOT NULL CHECK (total_minor >= 0),
      status TEXT NOT NULL CHECK (status IN ('pending', 'cancelled')),
      created_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX orders_by_user ON orders (user_id);

    CREATE TABLE order_lines (
      order_number INTEGER NOT NULL REFERENCES orders (number),
      position INTEGER NOT NULL,
      name TEXT NOT NULL,
      quantity INTEGER NOT NULL CHECK (quantity > 0),
      price_minor INTEGER NOT NULL CHECK (price_minor >= 0),
      PRIMARY KEY (order_number, position)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE idempotency_records (
      order_number INTEGER PRIMARY KEY REFERENCES orders (number),
      scope TEXT NOT NULL,
      key TEXT NOT NULL,
      request_hash TEXT NOT NULL,
      created_at_ms INTEGER NOT NULL,
      UNIQUE (scope, key)
    ) STRICT;
    CREATE INDEX idempotency_records_by_age ON idempotency_records (created_at_ms);
  `,
};
