import { StartError } from "../service/start-error.ts";
import type { Passwords } from "./password.ts";
import { demoPassword, demoUsers } from "./seed.ts";
import type { UserStore } from "./store.ts";

/**
 * Before a production system listens: throws a `StartError` when somebody of the demo is in the store, may log in, and has
 * the password that everybody knows. Costs nothing where there are none of them.
 */
export async function assertNoDemoUsers(store: UserStore, passwords: Passwords): Promise<void> {
  const open: string[] = [];
  for (const { username } of demoUsers) {
    const account = await store.accountByName(username);
    if (account?.isEnabled && (await passwords.verify(account.passwordHash, demoPassword))) open.push(username);
  }
  if (open.length === 0) return;
  const message =
    `The store was made in development mode: ${open.join(", ")} can log in with the password that everybody knows.\n` +
    "Start production on a data directory of its own (FLOTILLA_DATA), or start in development mode once more and\n" +
    "change the password of each, or disable or delete them.";
  throw new StartError("insecure", message);
}
