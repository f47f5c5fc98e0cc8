import { FlotillaError } from "@flotilla/kit";
import type { Actor, AuditReader } from "../service/audit.ts";
import type { StoreFile } from "../service/database.ts";
import type { Account } from "./account.ts";
import type { AuditEvent } from "./audit.ts";
import type { LoginSession, Standing } from "./login.ts";
import type { RefreshHashes } from "./refresh-token.ts";
import type { Permission, Role } from "./role.ts";

export type NewAccount = Omit<Account, "id" | "isEnabled">;

export interface NewLogin extends RefreshHashes {
  readonly sid: string;
  /** An account's id; for a name without an account, what the trail calls it. */
  readonly accountId: string;
  /** The hash that the password matched. Undefined when it matched none, and no login is opened, as when it is another by now. */
  readonly verifiedHash: string | undefined;
  /** Put in place of `verifiedHash`. */
  readonly replacementHash?: string | undefined;
}

export interface NewPassword {
  /** What it takes the place of; if that is another by now, nothing is changed. */
  readonly verifiedHash: string;
  readonly passwordHash: string;
}

export interface Rotation extends RefreshHashes {
  readonly successorHash: string;
  readonly salt: string;
  readonly nowMs: number;
  readonly requestId?: string | undefined;
}

export type Rotated =
  /** `salt` gives the successor: the one of this rotation, or of the one that took place a moment ago. */
  | { readonly kind: "rotated"; readonly login: LoginSession; readonly account: Account; readonly salt: string }
  /** The token had been rotated before: the login was ended. */
  | { readonly kind: "reused"; readonly login: LoginSession }
  | { readonly kind: "unknown" };

/** `after` is the last one of the page before; `limit` counts items. */
export interface PageOf<Key> {
  readonly after?: Key | undefined;
  readonly limit: number;
}

/** Whatever changes something is told who does it, for the trail. */
export interface AccountStore {
  /**
   * Rejects with `already_exists` when the username is or was taken, and `invalid_argument` when it is not as
   * `canonicalUsername` makes it. Without an actor it was the system itself.
   */
  addAccount(account: NewAccount, by?: Actor): Promise<Account>;
  /** By exact spelling: ask with `canonicalUsername`. The deleted are found by neither. */
  accountByName(username: string): Promise<Account | undefined>;
  accountById(id: string): Promise<Account | undefined>;
  /** In the order of their making, without the deleted. */
  listAccounts(page?: Partial<PageOf<string>>): Promise<Account[]>;
  /** How many accounts there are, without the deleted. */
  count(): Promise<number>;
  /** Undefined unless the account is enabled and, when `sid` is given, that login of its is alive. */
  standing(accountId: string, login?: { readonly sid: string; readonly nowMs: number }): Promise<Standing | undefined>;
  setEmail(id: string, email: string, by: Actor): Promise<Account>;
  /** Ends every login of the account and opens `login`. Undefined, and nothing done, when the hash was another. */
  changePassword(
    password: NewPassword,
    login: Omit<NewLogin, "verifiedHash">,
    by: Actor,
  ): Promise<LoginSession | undefined>;
  /** Disabling ends every login. These three reject with `not_found`, and `failed_precondition` for the last admin. */
  setEnabled(id: string, isEnabled: boolean, by: Actor): Promise<Account>;
  /** Wipes e-mail and hash, and ends every login; the id and the name stay, given to nobody again. */
  deleteAccount(id: string, by: Actor): Promise<void>;
  setRole(id: string, role: string, by: Actor): Promise<Account>;
}

export interface LoginStore {
  /**
   * Undefined unless the account is enabled and has `verifiedHash`; the trail counts the refusal then.
   * SECURITY: every refusal runs the same queries in one unit, so its time does not tell why.
   */
  openLogin(login: NewLogin, by: Actor): Promise<Opened | undefined>;
  /** A login that is alive and whose account is enabled; notes that it was used. */
  useLogin(sid: string, nowMs: number): Promise<{ login: LoginSession; account: Account } | undefined>;
  rotate(rotation: Rotation): Promise<Rotated>;
  /** Those alive, newest first. */
  listLogins(accountId: string, nowMs: number): Promise<LoginSession[]>;
  /** Whether there was one: another account's is not found. */
  endLogin(login: { readonly accountId: string; readonly sid: string }, event: AuditEvent, by: Actor): Promise<boolean>;
  /** @returns how many there were. */
  endLogins(accountId: string, by: Actor): Promise<number>;
  /** `who` is an account's id, or a keyed hash of a name that nobody has. */
  refuseLogin(who: string, by: Actor): Promise<void>;
}

export interface Opened {
  readonly login: LoginSession;
  /** Logins that ended to make room. */
  readonly ended: readonly LoginSession[];
}

export interface RoleStore {
  listRoles(): Promise<Role[]>;
  /** Rejects with `already_exists`. */
  createRole(role: Role, by: Actor): Promise<Role>;
  /** Rejects with `not_found`, and `failed_precondition` while somebody has it or when it is one that must stay. */
  deleteRole(name: string, by: Actor): Promise<void>;
  /** Rejects with `not_found`, and `failed_precondition` when the admin role would lose `system.admin`. */
  setRolePermissions(name: string, permissions: readonly Permission[], by: Actor): Promise<Role>;
}

export interface AuditStore extends AuditReader<AuditEvent> {
  /** Somebody asked for what `permission` would have allowed. */
  refuse(permission: string, by: Actor): Promise<void>;
  /** The user who acts was introduced to a service. */
  noteIntroduction(introduction: { readonly gifter: string; readonly recipient: string }, by: Actor): Promise<void>;
}

export interface PublishedKey {
  readonly kid: string;
  /** DER of its SPKI, as base64url. */
  readonly publicKey: string;
}

/** The public halves of the keys that the instances of the service sign with, so that each believes the others. */
export interface KeyStore {
  /** Says that the key signs now, or still; forgets those of which nobody has said so since `forgetBeforeMs`. */
  publishKey(key: PublishedKey, at: { readonly nowMs: number; readonly forgetBeforeMs: number }): Promise<void>;
  withdrawKey(kid: string): Promise<void>;
  /** Those that were published since. */
  publishedKeys(sinceMs: number): Promise<PublishedKey[]>;
}

/**
 * Accounts, their logins, roles, keys, and the trail of what happened to them. Each method is one whole unit of work: it happens
 * at once or not at all, with its entry in the trail, and is kept when its promise resolves. All reject with
 * `unavailable` when the store cannot be used now.
 */
export interface UserStore extends AccountStore, LoginStore, RoleStore, AuditStore, KeyStore, StoreFile {
  close(): void | Promise<void>;
}

const refusal = (reason: string, message: string) => new FlotillaError("failed_precondition", message, { reason });

/** What a `UserStore` refuses with. */
export const refusals = {
  spelling: () => new FlotillaError("invalid_argument", "A username is lower-case and NFC"),
  taken: () => new FlotillaError("already_exists", "This username is taken"),
  noAccount: () => new FlotillaError("not_found", "User not found"),
  noRole: () => new FlotillaError("not_found", "Role not found", { reason: "role_unknown" }),
  roleTaken: () => new FlotillaError("already_exists", "There is such a role"),
  lastAdmin: () => refusal("last_admin", "The last administrator has to stay one: make another first"),
  roleInUse: () => refusal("role_in_use", "Somebody has this role: give them another first"),
  roleStays: () => refusal("role_protected", "This role cannot be deleted"),
  adminRoleStays: () => refusal("role_protected", "The admin role keeps system.admin"),
  rotatedTooOften: () => {
    const detail = { reason: "rate_limited", retryAfterMs: 10_000 };
    return new FlotillaError("resource_exhausted", "This login was refreshed too often", detail);
  },
};
