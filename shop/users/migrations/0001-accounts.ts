import type { Migration } from "../../service/migration.ts";

/** AUTOINCREMENT, so that no account gets the id, and with it the orders, of one that is gone. */
export const accounts: Migration = {
  name: "accounts",
  sqlite: `
    CREATE TABLE accounts (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      username TEXT NOT NULL UNIQUE,
      email TEXT NOT NULL,
      role TEXT NOT NULL CHECK (role IN ('admin', 'user')),
      password_hash TEXT NOT NULL,
      created_at_ms INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE logins (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      token_hash TEXT NOT NULL UNIQUE,
      account_number INTEGER NOT NULL REFERENCES accounts (number) ON DELETE CASCADE,
      expires_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX logins_by_account ON logins (account_number);
    CREATE INDEX logins_by_expiry ON logins (expires_at_ms);
  `,
  postgres: `
    CREATE TABLE accounts (
      number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      username text NOT NULL UNIQUE,
      email text NOT NULL,
      role text NOT NULL CHECK (role IN ('admin', 'user')),
      password_hash text NOT NULL,
      created_at_ms bigint NOT NULL
    );

    CREATE TABLE logins (
      number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      token_hash text NOT NULL UNIQUE,
      account_number bigint NOT NULL REFERENCES accounts (number) ON DELETE CASCADE,
      expires_at_ms bigint NOT NULL
    );
    CREATE INDEX logins_by_account ON logins (account_number);
    CREATE INDEX logins_by_expiry ON logins (expires_at_ms);
  `,
};
