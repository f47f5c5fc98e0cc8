import type { Account } from "./account.ts";

/** One login of an account, from its password on until it ends. Its `sid` is no secret. */
export interface LoginSession {
  readonly sid: string;
  readonly accountId: string;
  readonly createdAtMs: number;
  /** Exact to `lastUsedStepMs`. */
  readonly lastUsedAtMs: number;
  /** When it ends if its refresh token is not used before. */
  readonly idleEndsAtMs: number;
  /** When it ends in any case. */
  readonly endsAtMs: number;
}

/** An account as it is now, what its role grants, and that its login was alive. */
export interface Standing {
  readonly account: Account;
  readonly permissions: readonly string[];
  /** When the login ends by itself that was asked about, in milliseconds since the epoch; infinite when none was. */
  readonly endsAtMs: number;
}

/** A login that is not refreshed ends. Milliseconds. */
export const idleMsMax = 14 * 86_400_000;
/** No login outlives it. Milliseconds. */
export const loginMsMax = 90 * 86_400_000;
/** The last use is written down at most this often, so that reading is not writing. Milliseconds. */
export const lastUsedStepMs = 60_000;
/** Open logins of one account; opening one more ends the oldest. A person has a few devices, a runaway script many. */
export const loginsPerAccountMax = 100;
/** Expired logins removed by one opening: more than one, so that they dwindle, and few, so that nobody waits. */
export const loginsPurgedMax = 100;
/** After a rotation the old refresh token gives the same successor for so long: an answer may be lost. Milliseconds. */
export const rotationGraceMs = 10_000;
/** Rotations of one login within that time. A client has one in 15 minutes. */
export const rotationsInGraceMax = 20;
