import { canonicalUsername } from "../contracts/users.ts";

/** Deleted: only its id and its name are left, so that neither is given to anybody else. */
export type AccountState = "enabled" | "disabled" | "deleted";

/** A person who may log in. */
export interface Account {
  /** `user1`, `user2`, ... in the order of their making; never given twice. */
  readonly id: string;
  /** As `canonicalUsername` makes it; unique, and never given again, because people know each other by it. */
  readonly username: string;
  readonly email: string;
  readonly role: string;
  /** SECURITY: only for `Passwords.verify`. It leaves the User Service by no method, log or error. */
  readonly passwordHash: string;
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
  readonly isEnabled: boolean;
}

/** Whether `username` is its own canonical spelling, and text that can be stored as it is. */
export function isCanonicalUsername(username: string): boolean {
  return username !== "" && username.isWellFormed() && canonicalUsername(username) === username;
}

/**
 * Whether a new account may have this name: Latin letters, digits and `. _ -`, 2 to 64 characters. One script, and none
 * of its compatibility forms, so that no name looks like another's; and no id, so that where an account is named by
 * either, the two cannot be confused.
 */
export function isAcceptableUsername(username: string): boolean {
  return (
    isCanonicalUsername(username) &&
    !/^user\d+$/.test(username) &&
    username.normalize("NFKC") === username &&
    /^[\p{Script=Latin}0-9][\p{Script=Latin}0-9._-]{1,63}$/u.test(username)
  );
}

export function accountId(number: number): string {
  return `user${number}`;
}

/** The number within an account's id, or undefined for any other text: `user07` is nobody's id. */
export function accountNumber(id: string): number | undefined {
  return /^user[1-9]\d{0,14}$/.test(id) ? Number(id.slice("user".length)) : undefined;
}
