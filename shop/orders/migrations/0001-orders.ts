import type { Migration } from "../../service/migration.ts";

/**
 * AUTOINCREMENT, so that no id is given twice; a sequence of PostgreSQL leaves out some besides. The index by user ends in
 * the order's number, as every index of SQLite ends in the row's, so a user's newest orders are read without sorting.
 */
export const orders: Migration = {
  name: "orders",
  sqlite: `
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
  postgres: `
    CREATE TABLE orders (
      number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      user_id text NOT NULL,
      total_minor bigint NOT NULL CHECK (total_minor >= 0),
      status text NOT NULL CHECK (status IN ('pending', 'cancelled')),
      created_at_ms bigint NOT NULL
    );
    CREATE INDEX orders_by_user ON orders (user_id, number);

    CREATE TABLE order_lines (
      order_number bigint NOT NULL REFERENCES orders (number),
      position integer NOT NULL,
      name text NOT NULL,
      quantity integer NOT NULL CHECK (quantity > 0),
      price_minor bigint NOT NULL CHECK (price_minor >= 0),
      PRIMARY KEY (order_number, position)
    );

    CREATE TABLE idempotency_records (
      order_number bigint PRIMARY KEY REFERENCES orders (number),
      scope text NOT NULL,
      key text NOT NULL,
      request_hash text NOT NULL,
      created_at_ms bigint NOT NULL,
      UNIQUE (scope, key)
    );
    CREATE INDEX idempotency_records_by_age ON idempotency_records (created_at_ms);
  `,
};
