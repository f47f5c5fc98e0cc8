import { FlotillaError, type Implementation, revocable } from "@flotilla/kit";
import type { Administration, NewUser, Role as RoleRecord, UserPage, UserRecord } from "../contracts/administration.ts";
import type { AuditPage, AuditQuery } from "../contracts/audit.ts";
import { canonicalUsername } from "../contracts/users.ts";
import { type Actor, actorNow, auditPage } from "../service/audit.ts";
import { type Account, isAcceptableUsername } from "./account.ts";
import type { UserDeps } from "./authentication.ts";
import { assertEmail } from "./email.ts";
import type { LoginSession } from "./login.ts";
import { assertAcceptablePassword } from "./password-policy.ts";
import type { Hold } from "./revokers.ts";
import { defaultRole, isPermission, isRoleName, type Permission } from "./role.ts";
import { refusals } from "./store.ts";
import { type Ask, allows, standing } from "./user.ts";

const pageMax = 100;

export interface AdministratorDeps {
  readonly login: LoginSession;
  readonly ask: Ask;
  readonly hold: Hold;
}

/** The Administration capability of one login. Holding it is no permission: each method asks for its own. */
export class AdministrationTarget implements Implementation<Administration>, Disposable {
  readonly #deps: UserDeps;
  readonly #own: AdministratorDeps;

  /** Owns the hold. */
  constructor(deps: UserDeps, own: AdministratorDeps) {
    this.#deps = deps;
    this.#own = own;
    revocable(this, own.hold.revocation);
  }

  async createUser({ username, password, email, role = defaultRole }: NewUser): Promise<UserRecord> {
    const { store, passwords, clock } = this.#deps;
    await this.#require(...(role === defaultRole ? ["user.create" as const] : adminsCreate));
    const name = canonicalUsername(username);
    if (!isAcceptableUsername(name)) {
      const message =
        "A username has 2 to 64 Latin letters, digits, dots, hyphens and underscores, and does not look like an id";
      throw new FlotillaError("invalid_argument", message, { reason: "username_malformed" });
    }
    assertEmail(email);
    assertAcceptablePassword(password, { username: name, email });
    // Before the work of hashing, and again by the store.
    if (await store.accountByName(name)) throw refusals.taken();
    const passwordHash = await passwords.hash(password);
    const account = { username: name, email, role, passwordHash, createdAtMs: clock.now() };
    return toRecord(await store.addAccount(account, this.#actor()));
  }

  async disableUser(id: string): Promise<UserRecord> {
    const { store, revokers } = this.#deps;
    await this.#requireOver(id);
    const account = await store.setEnabled(id, false, this.#actor());
    revokers.endAccount(id);
    return toRecord(account);
  }

  async enableUser(id: string): Promise<UserRecord> {
    await this.#requireOver(id);
    return toRecord(await this.#deps.store.setEnabled(id, true, this.#actor()));
  }

  async deleteUser(id: string): Promise<void> {
    const { store, revokers } = this.#deps;
    await this.#requireOver(id);
    await store.deleteAccount(id, this.#actor());
    revokers.endAccount(id);
  }

  async listUsers({ after, limit = pageMax }: { after?: string; limit?: number } = {}): Promise<UserPage> {
    await this.#require("user.delete");
    const users = (await this.#deps.store.listAccounts({ after, limit })).map(toRecord);
    const last = users.at(-1);
    return { users, ...(last && users.length === limit && { next: last.id }) };
  }

  async setRole(id: string, role: string): Promise<UserRecord> {
    await this.#require("system.admin");
    return toRecord(await this.#deps.store.setRole(id, role, this.#actor()));
  }

  async listRoles(): Promise<RoleRecord[]> {
    await this.#require("system.admin");
    return await this.#deps.store.listRoles();
  }

  async createRole(name: string, words: string[]): Promise<RoleRecord> {
    await this.#require("system.admin");
    if (!isRoleName(name)) {
      const message = "A role has a name of 2 to 32 small letters, digits, hyphens and underscores";
      throw new FlotillaError("invalid_argument", message, { reason: "role_malformed" });
    }
    return await this.#deps.store.createRole({ name, permissions: toPermissions(words) }, this.#actor());
  }

  async deleteRole(name: string): Promise<void> {
    await this.#require("system.admin");
    await this.#deps.store.deleteRole(name, this.#actor());
  }

  async setRolePermissions(name: string, words: string[]): Promise<RoleRecord> {
    await this.#require("system.admin");
    return await this.#deps.store.setRolePermissions(name, toPermissions(words), this.#actor());
  }

  async audit(query: AuditQuery = {}): Promise<AuditPage> {
    await this.#require("system.admin");
    const { store, clock } = this.#deps;
    return await auditPage(store, query, clock);
  }

  [Symbol.dispose](): void {
    this.#own.hold[Symbol.dispose]();
  }

  async #require(...permissions: Permission[]): Promise<void> {
    const now = await standing(this.#own.ask);
    const missing = permissions.find((permission) => !allows(now, permission));
    if (missing) {
      await this.#deps.store.refuse(missing, this.#actor());
      const message = `You don't have the permission ${missing}`;
      throw new FlotillaError("permission_denied", message, { reason: "permission_missing" });
    }
  }

  /** `user.delete`, and over those who have `system.admin` that too. */
  async #requireOver(id: string): Promise<void> {
    await this.#require("user.delete");
    const { store } = this.#deps;
    const [account, roles] = await Promise.all([store.accountById(id), store.listRoles()]);
    if (!account) throw refusals.noAccount();
    const role = roles.find(({ name }) => name === account.role);
    if (role?.permissions.includes("system.admin")) await this.#require("system.admin");
  }

  #actor(): Actor {
    return actorNow(this.#deps.clock, this.#own.login);
  }
}

const adminsCreate = ["user.create", "system.admin"] as const;

function toPermissions(words: readonly string[]): Permission[] {
  return words.map((word) => {
    if (isPermission(word)) return word;
    throw new FlotillaError("invalid_argument", "There is no such permission", { reason: "permission_unknown" });
  });
}

function toRecord({ id, username, email, role, isEnabled, createdAtMs: createdAt }: Account): UserRecord {
  return { id, username, email, role, isEnabled, createdAt };
}
