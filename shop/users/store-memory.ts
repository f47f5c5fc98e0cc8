import { openSqliteUserStore, type SqliteUserStore } from "./store-sql.ts";

/**
 * A `UserStore` for tests: SQLite without a file, which forgets everything with the process. What holds for one of them
 * holds for the other, and there is one set of rules to read.
 */
export function makeMemoryUserStore(): SqliteUserStore {
  return openSqliteUserStore(":memory:");
}
