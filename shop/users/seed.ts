import { randomBytes } from "node:crypto";
import { type Clock, hasCode } from "@flotilla/kit";
import type { Mode } from "../topology.ts";
import type { Passwords } from "./password.ts";
import { adminRole, defaultRole } from "./role.ts";
import type { UserStore } from "./store.ts";

/** The people of the specification's demo. */
export const demoUsers: readonly { username: string; role: string }[] = [
  { username: "alice", role: adminRole },
  { username: "bob", role: defaultRole },
  { username: "charlie", role: defaultRole },
];

/** SECURITY: everybody knows it, so it is given to nobody outside development mode, and chosen by nobody. */
export const demoPassword = "password";

export interface SeedDeps {
  readonly mode: Mode;
  readonly clock: Clock;
  readonly store: UserStore;
  readonly passwords: Passwords;
}

/**
 * Fills the store: in development mode with those of the demo's three users who were never there, in production, if it is
 * empty, with one administrator, `admin`.
 *
 * @returns the administrator's random password when one was made now; it is shown once and kept nowhere.
 */
export async function seedUsers({ mode, clock, store, passwords }: SeedDeps): Promise<string | undefined> {
  const createdAtMs = clock.now();
  if (mode === "production") {
    if ((await store.count()) > 0) return undefined;
    const password = randomBytes(18).toString("base64url");
    const passwordHash = await passwords.hash(password);
    const admin = { username: "admin", email: "admin@localhost", role: adminRole, passwordHash, createdAtMs };
    try {
      await store.addAccount(admin);
    } catch (error) {
      // Another instance, which started at the same time, was first: its password is the one.
      if (hasCode(error, "already_exists")) return undefined;
      throw error;
    }
    return password;
  }
  for (const { username, role } of demoUsers) {
    if (await store.accountByName(username)) continue;
    const passwordHash = await passwords.hash(demoPassword);
    const account = { username, email: `${username}@example.com`, role, passwordHash, createdAtMs };
    await store.addAccount(account).catch((error: unknown) => {
      // Of somebody who was deleted the name is left, and given to nobody again.
      if (!hasCode(error, "already_exists")) throw error;
    });
  }
  return undefined;
}
