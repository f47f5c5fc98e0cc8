import type { Role } from "./role.ts";

/** A person who may log in. */
export interface Account {
  /** `user1`, `user2`, ... in the order of their making; never given twice. */
  readonly id: string;
  /** As `canonicalUsername` makes it; unique. */
  readonly username: string;
  readonly email: string;
  readonly role: Role;
  /** SECURITY: only for `Passwords.verify`. It leaves the User Service by no method, log or error. */
  readonly passwordHash: string;
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number;
}

/** The one spelling under which a username is kept and looked up: lower-case, NFC. */
export function canonicalUsername(username: string): string {
  return username.normalize("NFC").toLowerCase().normalize("NFC");
}

/** Whether `username` is its own canonical spelling, and text that can be stored as it is. */
export function isCanonicalUsername(username: string): boolean {
  return username !== "" && username.isWellFormed() && canonicalUsername(username) === username;
}

export function accountId(number: number): string {
  return `user${number}`;
}

/** The number within an account's id, or undefined for any other text: `user07` is nobody's id. */
export function accountNumber(id: string): number | undefined {
  return /^user[1-9]\d{0,14}$/.test(id) ? Number(id.slice("user".length)) : undefined;
}
