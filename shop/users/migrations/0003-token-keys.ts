import type { Migration } from "../../service/migration.ts";

/** The public halves of the keys that instances sign access tokens with. */
export const tokenKeys: Migration = {
  name: "token keys",
  sqlite: `
    CREATE TABLE token_keys (
      kid TEXT PRIMARY KEY,
      public_key TEXT NOT NULL,
      seen_at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
  `,
  postgres: `
    CREATE TABLE token_keys (
      kid text PRIMARY KEY,
      public_key text NOT NULL,
      seen_at_ms bigint NOT NULL
    );
  `,
};
