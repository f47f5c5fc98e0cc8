import type { UserStore } from "./store.ts";
import { openSqliteUserStore } from "./store-sqlite.ts";

/**
 * A `UserStore` for tests: SQLite without a file, which forgets everything with the process. What holds for one of them
 * holds for the other, and there is one set of rules to read.
 */
export function makeMemoryUserStore(): UserStore {
  return openSqliteUserStore(":memory:");
}
