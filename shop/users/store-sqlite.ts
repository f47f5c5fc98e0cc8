import { openSqlite } from "../service/sqlite.ts";
import type { OnHealth } from "../service/sqlite-health.ts";
import { accounts } from "./migrations/0001-accounts.ts";
import { logins } from "./migrations/0002-logins.ts";
import { accountStore } from "./sqlite-accounts.ts";
import { auditStore } from "./sqlite-audit.ts";
import { loginStore } from "./sqlite-logins.ts";
import { roleStore } from "./sqlite-roles.ts";
import type { UserStore } from "./store.ts";
import type { Tables } from "./tables.ts";

/** A `UserStore` in the SQLite file at `file`; see `openSqlite` for what makes it refuse to open, and when `onHealth` hears of it. */
export function openSqliteUserStore(file: string, onHealth?: OnHealth): UserStore {
  const db = openSqlite<Tables>(file, [accounts, logins], onHealth);
  return {
    ...accountStore(db),
    ...loginStore(db),
    ...roleStore(db),
    ...auditStore(db),
    isWritable: db.isWritable,
    copyTo: db.copyTo,
    close: db.close,
  };
}
