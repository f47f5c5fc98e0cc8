import type { Generated, Kysely, Selectable } from "kysely";
import type { AuditTables } from "../service/audit-trail.ts";
import type { Database } from "../service/database.ts";
import { type Account, type AccountState, accountId, accountNumber } from "./account.ts";
import type { LoginSession } from "./login.ts";

export interface AccountTable {
  number: Generated<number>;
  username: string;
  email: string;
  role: string;
  password_hash: string;
  created_at_ms: number;
  state: AccountState;
}

export interface LoginTable {
  number: Generated<number>;
  sid: string;
  account_number: number;
  family_hash: string;
  refresh_hash: string;
  created_at_ms: number;
  last_used_at_ms: number;
  idle_ends_at_ms: number;
  ends_at_ms: number;
}

/** The store's tables, as the migrations leave them. */
export interface Tables extends AuditTables {
  accounts: AccountTable;
  roles: { name: string };
  role_permissions: { role: string; permission: string };
  logins: LoginTable;
  rotations: { login_number: number; refresh_hash: string; salt: string; rotated_at_ms: number };
  token_keys: { kid: string; public_key: string; seen_at_ms: number };
}

export type Db = Database<Tables>;

/** What builds the queries of a unit of work. */
export type Build = Kysely<Tables>;

/** Of an id that is nobody's: 0, which is no account's number. */
export function numberOf(id: string): number {
  return accountNumber(id) ?? 0;
}

export function toAccount(row: Selectable<AccountTable>): Account {
  return {
    id: accountId(row.number),
    username: row.username,
    email: row.email,
    role: row.role,
    passwordHash: row.password_hash,
    createdAtMs: row.created_at_ms,
    isEnabled: row.state === "enabled",
  };
}

export function toLogin(row: Omit<Selectable<LoginTable>, "family_hash" | "refresh_hash">): LoginSession {
  return {
    sid: row.sid,
    accountId: accountId(row.account_number),
    createdAtMs: row.created_at_ms,
    lastUsedAtMs: row.last_used_at_ms,
    idleEndsAtMs: row.idle_ends_at_ms,
    endsAtMs: row.ends_at_ms,
  };
}
