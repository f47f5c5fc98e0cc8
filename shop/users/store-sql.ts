import { asFile, run, type Work } from "../service/database.ts";
import { type OwnStore, openDatabase } from "../service/open-database.ts";
import type { PostgresPlace } from "../service/postgres-place.ts";
import { openSqlite } from "../service/sqlite.ts";
import { label } from "../service/store-label.ts";
import type { Mode } from "../topology.ts";
import { accounts } from "./migrations/0001-accounts.ts";
import { logins } from "./migrations/0002-logins.ts";
import { tokenKeys } from "./migrations/0003-token-keys.ts";
import { refusals } from "./migrations/0004-refusals.ts";
import { demoUsers } from "./seed.ts";
import { accountStore } from "./sql-accounts.ts";
import { auditStore } from "./sql-audit.ts";
import { keyStore } from "./sql-keys.ts";
import { loginStore } from "./sql-logins.ts";
import { roleStore } from "./sql-roles.ts";
import type { UserStore } from "./store.ts";
import type { Db, Tables } from "./tables.ts";

export const migrations = [accounts, logins, tokenKeys, refusals, label];

/** A `UserStore` that lets go of its file at once. */
export interface SqliteUserStore extends UserStore {
  close(): void;
}

/** A `UserStore` in the SQLite file at `file`; see `openSqlite` for what makes it refuse to open. */
export function openSqliteUserStore(file: string): SqliteUserStore {
  const db = openSqlite<Tables>(file, migrations);
  return { ...userStore(db), close: db.close };
}

/** A `UserStore` at `where`: a file of SQLite by its path, or a database of PostgreSQL. See `openDatabase`. */
export async function openUserStore(where: string | PostgresPlace, own?: OwnStore): Promise<UserStore> {
  const options = { application: "flotilla users", own, shownMode };
  return userStore(await openDatabase<Tables>(where, migrations, options));
}

/** The mode in which a store was made, by its first accounts: those of the demo, or an administrator. */
function* shownMode({ build }: Db): Work<Mode | undefined> {
  const usernames = build.selectFrom("accounts").select("username");
  const [first] = yield* run(usernames.orderBy("number").limit(1));
  if (!first) return undefined;
  const names = demoUsers.map(({ username }) => username);
  // All of them stand in a store of production that was started in development once: its production is over.
  const demo = yield* run(usernames.where("username", "in", names));
  return names.includes(first.username) || demo.length === names.length ? "development" : "production";
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
