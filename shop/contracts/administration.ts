import { arg, contract, optional, type RpcTarget } from "@flotilla/kit";
import { Type } from "typebox";
import { type AuditPage, AuditQuery } from "./audit.ts";

/** An account as an administrator sees it. */
export interface UserRecord {
  readonly id: string;
  readonly username: string;
  readonly email: string;
  readonly role: string;
  readonly isEnabled: boolean;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

export interface NewUser {
  readonly username: string;
  readonly password: string;
  readonly email: string;
  /** Default `user`. */
  readonly role?: string;
}

export interface Role {
  readonly name: string;
  readonly permissions: readonly string[];
}

/** `next` is what to ask the following page `after`; absent on the last one. */
export interface UserPage {
  readonly users: readonly UserRecord[];
  readonly next?: string;
}

/**
 * What is done to accounts and roles. Each method names the permission it asks for, at the moment of the call; without it,
 * `permission_denied`. What somebody with `system.admin` has done or may do takes `system.admin` to undo: such accounts
 * are disabled, enabled and deleted by their like only.
 */
export interface Administration extends RpcTarget {
  /** `user.create`, and for another role than `user` also `system.admin`. Throws `already_exists`, `invalid_argument`. */
  createUser(user: NewUser): UserRecord;
  /** `user.delete`. Every login of the account ends. */
  disableUser(id: string): UserRecord;
  /** `user.delete`. */
  enableUser(id: string): UserRecord;
  /** `user.delete`. Every login of the account ends; its id and name are given to nobody again. */
  deleteUser(id: string): void;
  /** `user.delete`. Pages of at most 100. */
  listUsers(page?: { after?: string; limit?: number }): UserPage;
  /** `system.admin`. Counts from the user's next call; ends nothing. Throws `failed_precondition`, reason `last_admin`. */
  setRole(id: string, role: string): UserRecord;
  /** `system.admin`, as is asked for by what follows. */
  listRoles(): Role[];
  /** Throws `invalid_argument` for a name or a permission that will not do, `already_exists`. */
  createRole(name: string, permissions: string[]): Role;
  /** Throws `failed_precondition`, reason `role_in_use` or `role_protected`. */
  deleteRole(name: string): void;
  setRolePermissions(name: string, permissions: string[]): Role;
  /** Newest first, in pages of at most 100, of one account or of all. */
  audit(page?: AuditQuery): AuditPage;
}

const closed = { additionalProperties: false } as const;
const UserId = Type.String({ maxLength: 32 });
const RoleName = Type.String({ maxLength: 64 });
const limit = Type.Optional(Type.Integer({ minimum: 1, maximum: 100 }));

const id = arg("id", UserId);
const roleName = arg("name", RoleName);
const grants = arg("permissions", Type.Array(Type.String({ maxLength: 64 }), { maxItems: 64 }));

export const NewUser = arg(
  "user",
  Type.Object(
    {
      username: Type.String({ minLength: 1, maxLength: 64 }),
      password: Type.String({ maxLength: 1_024 }),
      email: Type.String({ maxLength: 254 }),
      role: Type.Optional(RoleName),
    },
    closed,
  ),
);

export const AdministrationContract = contract<Administration>("Administration", {
  createUser: { params: [NewUser] },
  disableUser: { params: [id] },
  enableUser: { params: [id] },
  deleteUser: { params: [id] },
  listUsers: { params: [optional(arg("page", Type.Object({ after: Type.Optional(UserId), limit }, closed)))] },
  setRole: { params: [id, arg("role", RoleName)] },
  listRoles: { params: [] },
  createRole: { params: [roleName, grants] },
  deleteRole: { params: [roleName] },
  setRolePermissions: { params: [roleName, grants] },
  audit: { params: [optional(AuditQuery)] },
});
