/** What the audit trail records. */
export type AuditEvent =
  | "login"
  /** `count` of them within one minute. */
  | "login_refused"
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

/** One line of the trail: who did what to whom, from which login, and when. No secret is in it. */
export interface AuditEntry {
  readonly number: number;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly event: AuditEvent;
  /** Absent when the system itself did it. */
  readonly actorId?: string;
  /** The account it was done to; of a refused login by a name that nobody has, a keyed hash of that name. */
  readonly subjectId?: string;
  readonly sid?: string;
  readonly requestId?: string;
  readonly detail?: string;
  /** How often, within one minute. */
  readonly count: number;
}

/** Who does something now, as the trail will name them. */
export interface Actor {
  readonly accountId?: string | undefined;
  readonly sid?: string | undefined;
  readonly requestId?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/** Entries younger than this cannot be removed. Milliseconds. */
export const auditKeptMs = 400 * 86_400_000;

/** Names that nobody has, told apart within one minute; further ones are counted together, so that a flood fills no disk. */
export const strangersPerMinuteMax = 100;
