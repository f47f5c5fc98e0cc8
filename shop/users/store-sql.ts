import { asFile } from "../service/database.ts";
import { openDatabase } from "../service/open-database.ts";
import type { PostgresPlace } from "../service/postgres-place.ts";
import { openSqlite } from "../service/sqlite.ts";
import type { OnHealth } from "../service/sqlite-health.ts";
import { accounts } from "./migrations/0001-accounts.ts";
import { logins } from "./migrations/0002-logins.ts";
import { tokenKeys } from "./migrations/0003-token-keys.ts";
import { refusals } from "./migrations/0004-refusals.ts";
import { accountStore } from "./sql-accounts.ts";
import { auditStore } from "./sql-audit.ts";
import { keyStore } from "./sql-keys.ts";
import { loginStore } from "./sql-logins.ts";
import { roleStore } from "./sql-roles.ts";
import type { UserStore } from "./store.ts";
import type { Db, Tables } from "./tables.ts";

export const migrations = [accounts, logins, tokenKeys, refusals];

/** A `UserStore` that lets go of its file at once. */
export interface SqliteUserStore extends UserStore {
  close(): void;
}

/** A `UserStore` in the SQLite file at `file`; see `openSqlite` for what makes it refuse to open, and when `onHealth` hears of it. */
export function openSqliteUserStore(file: string, onHealth?: OnHealth): SqliteUserStore {
  const db = openSqlite<Tables>(file, migrations, onHealth);
  return { ...userStore(db), close: db.close };
}

/** A `UserStore` at `where`: a file of SQLite by its path, or a database of PostgreSQL. */
export async function openUserStore(where: string | PostgresPlace, onHealth?: OnHealth): Promise<UserStore> {
  return userStore(await openDatabase<Tables>(where, migrations, { application: "flotilla users", onHealth }));
}

/** A `UserStore` in any database that `migrations` were applied to. */
export function userStore(db: Db): UserStore {
  const close = () => db.close();
  return {
    ...accountStore(db),
    ...loginStore(db),
    ...roleStore(db),
    ...auditStore(db),
    ...keyStore(db),
    ...asFile(db),
    close,
  };
}
