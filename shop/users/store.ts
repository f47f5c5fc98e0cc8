import { FlotillaError } from "@flotilla/kit";
import type { Account } from "./account.ts";

export type NewAccount = Omit<Account, "id">;

export interface NewLogin {
  /** `hashToken` of the token; the token itself is never kept. */
  readonly tokenHash: string;
  readonly accountId: string;
  /** Milliseconds since the epoch, as is `nowMs`. */
  readonly expiresAtMs: number;
  readonly nowMs: number;
}

/** A login that was opened, with the account as it is now. It may have expired: the reader compares `expiresAtMs`. */
export interface Login {
  readonly accountId: string;
  readonly expiresAtMs: number;
  readonly account: Account;
}

/** Open logins of one account; opening one more ends the oldest. A person has a few devices, a runaway script many. */
export const loginsPerAccountMax = 100;

/** Expired logins removed by one opening: more than one, so that they dwindle, and few, so that nobody waits. */
export const loginsPurgedMax = 100;

/**
 * Accounts and their open logins. Each method is one whole unit of work: it happens at once or not at all, and is kept
 * when its promise resolves. All reject with `unavailable` when the store cannot be used now.
 */
export interface UserStore {
  /**
   * Rejects with `already_exists` when the username is taken, and `invalid_argument` when it is not as
   * `canonicalUsername` makes it.
   */
  addAccount(account: NewAccount): Promise<Account>;
  /** By exact spelling: ask with `canonicalUsername`. */
  accountByName(username: string): Promise<Account | undefined>;
  accountById(id: string): Promise<Account | undefined>;
  /** All, in the order of their making. */
  listAccounts(): Promise<Account[]>;
  /** Also removes some expired logins. Rejects with `not_found` without the account; a token opens one login only. */
  openLogin(login: NewLogin): Promise<void>;
  loginByTokenHash(tokenHash: string): Promise<Login | undefined>;
  /** How many accounts there are. */
  count(): Promise<number>;
  close(): void;
}

/** The refusals of every `UserStore`. */
export const refusals = {
  spelling: () => new FlotillaError("invalid_argument", "A username is lower-case and NFC"),
  taken: () => new FlotillaError("already_exists", "This username is taken"),
  noAccount: () => new FlotillaError("not_found", "There is no such account"),
  tokenUsed: () => new FlotillaError("already_exists", "This token has opened a login before"),
};
