import type { Generated, Selectable } from "kysely";
import { openSqlite, type Run } from "../service/sqlite.ts";
import { type Account, accountId, accountNumber, isCanonicalUsername } from "./account.ts";
import { accounts } from "./migrations/0001-accounts.ts";
import type { Role } from "./role.ts";
import { loginsPerAccountMax, loginsPurgedMax, type NewLogin, refusals, type UserStore } from "./store.ts";

interface AccountTable {
  number: Generated<number>;
  username: string;
  email: string;
  role: Role;
  password_hash: string;
  created_at_ms: number;
}

interface Tables {
  accounts: AccountTable;
  logins: { number: Generated<number>; token_hash: string; account_number: number; expires_at_ms: number };
}

/** A `UserStore` in the SQLite file at `file`; see `openSqlite` for what makes it refuse to open. */
export function openSqliteUserStore(file: string): UserStore {
  const db = openSqlite<Tables>(file, [accounts]);
  const { build } = db;
  const everyAccount = build.selectFrom("accounts").selectAll();

  /** Removes first, so that the new login is counted but never removed. */
  function makeRoom(run: Run, account: number, nowMs: number): void {
    const expired = build.selectFrom("logins").select("number").where("expires_at_ms", "<=", nowMs);
    const surplus = build.selectFrom("logins").select("number").where("account_number", "=", account);
    run(build.deleteFrom("logins").where("number", "in", expired.orderBy("expires_at_ms").limit(loginsPurgedMax)));
    run(
      build.deleteFrom("logins").where(
        "number",
        "in",
        surplus
          .orderBy("number", "desc")
          .limit(-1)
          .offset(loginsPerAccountMax - 1),
      ),
    );
  }

  function open(run: Run, { tokenHash, accountId, expiresAtMs, nowMs }: NewLogin): void {
    const account = accountNumber(accountId) ?? 0;
    const [known] = run(build.selectFrom("accounts").select("number").where("number", "=", account));
    if (!known) throw refusals.noAccount();
    const [used] = run(build.selectFrom("logins").select("number").where("token_hash", "=", tokenHash));
    if (used) throw refusals.tokenUsed();
    makeRoom(run, account, nowMs);
    const login = { token_hash: tokenHash, account_number: account, expires_at_ms: expiresAtMs };
    run(build.insertInto("logins").values(login));
  }

  return {
    addAccount: (account) =>
      db.unit((run) => {
        const { username, email, role, passwordHash, createdAtMs } = account;
        if (!isCanonicalUsername(username)) throw refusals.spelling();
        if (run(everyAccount.where("username", "=", username)).length > 0) throw refusals.taken();
        const row = { username, email, role, password_hash: passwordHash, created_at_ms: createdAtMs };
        return toAccount(run(build.insertInto("accounts").values(row).returningAll())[0]!);
      }),
    accountByName: (username) => db.unit((run) => run(everyAccount.where("username", "=", username)).map(toAccount)[0]),
    accountById: (id) =>
      db.unit((run) => run(everyAccount.where("number", "=", accountNumber(id) ?? 0)).map(toAccount)[0]),
    listAccounts: () => db.unit((run) => run(everyAccount.orderBy("number")).map(toAccount)),
    openLogin: (login) => db.unit((run) => open(run, login)),
    loginByTokenHash: (tokenHash) =>
      db.unit((run) => {
        const [row] = run(
          build
            .selectFrom("logins")
            .innerJoin("accounts", "accounts.number", "logins.account_number")
            .selectAll("accounts")
            .select("logins.expires_at_ms")
            .where("token_hash", "=", tokenHash),
        );
        if (!row) return undefined;
        const account = toAccount(row);
        return { accountId: account.id, expiresAtMs: row.expires_at_ms, account };
      }),
    count: () =>
      db.unit((run) => run(build.selectFrom("accounts").select((eb) => eb.fn.countAll<number>().as("n")))[0]!.n),
    close: db.close,
  };
}

function toAccount(row: Selectable<AccountTable>): Account {
  return {
    id: accountId(row.number),
    username: row.username,
    email: row.email,
    role: row.role,
    passwordHash: row.password_hash,
    createdAtMs: row.created_at_ms,
  };
}
