import type { AuditEntry as Entry } from "../service/audit.ts";

/** What the User Service's trail records. */
export type AuditEvent =
  | "login"
  /** `count` of them within one minute. */
  | "login_refused"
  /** The same, of calls for which somebody lacks the permission that `detail` names. */
  | "permission_refused"
  /** To a service: `detail` names who introduced, and to whom. */
  | "introduced"
  | "refresh_reused"
  | "logout"
  | "logout_everywhere"
  | "session_ended"
  /** The oldest login made room for a new one. */
  | "session_evicted"
  | "password_changed"
  | "password_rehashed"
  | "email_changed"
  | "user_created"
  | "user_disabled"
  | "user_enabled"
  | "user_deleted"
  | "user_role_set"
  | "role_created"
  | "role_deleted"
  | "role_permissions_set";

/** Of a refused login by a name that nobody has, `subjectId` is a keyed hash of that name. */
export type AuditEntry = Entry<AuditEvent>;

/** Names that nobody has, told apart within one minute; further ones are counted together, so that a flood fills no disk. */
export const strangersPerMinuteMax = 100;
