import { createHmac, randomBytes } from "node:crypto";
import { type Clock, currentContext, FlotillaError, hasCode } from "@flotilla/kit";
import type { Login } from "../contracts/users.ts";
import { canonicalUsername } from "../contracts/users.ts";
import { actorNow } from "../service/audit.ts";
import type { AccessTokens } from "./access-token.ts";
import type { Account } from "./account.ts";
import type { LoginSession } from "./login.ts";
import { isWeakHash, type Passwords } from "./password.ts";
import { hashesOf, newRefreshToken, newSalt, successorOf } from "./refresh-token.ts";
import type { Hold, Revokers } from "./revokers.ts";
import type { NewLogin, UserStore } from "./store.ts";

export interface UserDeps {
  readonly clock: Clock;
  readonly store: UserStore;
  readonly passwords: Passwords;
  readonly tokens: AccessTokens;
  readonly revokers: Revokers;
}

/** A login that is alive. Whoever asked for it disposes `hold`, or gives it to the capability that does. */
export interface Found {
  readonly account: Account;
  readonly login: LoginSession;
  readonly hold: Hold;
  /** When the token that was presented ends, in milliseconds since the epoch. */
  readonly tokenEndsAtMs: number;
}

/** Of names that nobody has, a hash: people type passwords there. Its key is of this run, so no list of names finds it. */
const strangersKey = randomBytes(32);

/**
 * Opens a login.
 * SECURITY: an unknown user, a wrong password and a disabled user get the same error after the same queries and hashes.
 */
export async function authenticate(deps: UserDeps, username: string, password: string): Promise<Login> {
  const { store, passwords, revokers } = deps;
  const name = canonicalUsername(username);
  const account = await store.accountByName(name);
  const isRight = await passwords.verify(account?.passwordHash, password);
  const verifiedHash = isRight ? account?.passwordHash : undefined;
  const mayOpen = verifiedHash !== undefined && account?.isEnabled;
  const replacementHash = mayOpen ? await stronger(deps, verifiedHash, password) : undefined;
  const { refreshToken, ...login } = newLogin(account?.id ?? strangerOf(name));
  const opened = await store.openLogin({ ...login, verifiedHash, replacementHash }, actorNow(deps.clock));
  if (!account || !opened) throw new FlotillaError("unauthenticated", "Invalid username or password");
  for (const ended of opened.ended) revokers.endLogin(ended);
  return await issue(deps, { account, login: opened.login, refreshToken });
}

/** Undefined when `hash` is as strong as today's, or when there is no time for it: the next login will do. */
async function stronger({ passwords }: UserDeps, hash: string, password: string): Promise<string | undefined> {
  if (!isWeakHash(hash)) return undefined;
  try {
    return await passwords.hash(password);
  } catch (error) {
    if (hasCode(error, "resource_exhausted")) return undefined;
    throw error;
  }
}

/** Gives a new access token and the successor of `refreshToken`. One that was rotated before ends its login. */
export async function refresh(deps: UserDeps, refreshToken: string): Promise<Login> {
  const { clock, store, revokers } = deps;
  const hashes = hashesOf(refreshToken);
  if (!hashes) throw invalidToken();
  const salt = newSalt();
  const successorHash = hashesOf(successorOf(refreshToken, salt))!.refreshHash;
  const requestId = currentContext()?.traceId;
  const rotated = await store.rotate({ ...hashes, successorHash, salt, nowMs: clock.now(), requestId });
  if (rotated.kind === "reused") revokers.endLogin(rotated.login);
  if (rotated.kind !== "rotated") throw invalidToken();
  return await issue(deps, { ...rotated, refreshToken: successorOf(refreshToken, rotated.salt) });
}

/** The login of an access token. Throws `unauthenticated`, and nothing of why. */
export async function loginOf({ clock, store, tokens, revokers }: UserDeps, token: string): Promise<Found> {
  const claims = await tokens.verify(token);
  if (!claims) throw invalidToken();
  // Before the look: what ends the login from now on ends what is made of it.
  const hold = revokers.hold(claims);
  try {
    const found = await store.useLogin(claims.sid, clock.now());
    if (found?.account.id !== claims.accountId) throw invalidToken();
    return { ...found, hold, tokenEndsAtMs: claims.expiresAtMs };
  } catch (error) {
    hold[Symbol.dispose]();
    throw error;
  }
}

/** A login to be opened, with the refresh token that its owner is shown. */
export function newLogin(accountId: string): Omit<NewLogin, "verifiedHash"> & { readonly refreshToken: string } {
  const refreshToken = newRefreshToken();
  return { ...hashesOf(refreshToken)!, sid: randomBytes(16).toString("hex"), accountId, refreshToken };
}

/** What the owner of a login is told when it was opened or refreshed. */
export async function issue(
  { tokens }: UserDeps,
  { account, login, refreshToken }: { account: Account; login: LoginSession; refreshToken: string },
): Promise<Login> {
  const { token, expiresAtMs } = await tokens.issue({ accountId: account.id, sid: login.sid });
  const { id: userId, username, role } = account;
  return {
    ...{ token, userId, username, role, expiresAt: expiresAtMs },
    ...{ refreshToken, refreshExpiresAt: login.idleEndsAtMs },
  };
}

function strangerOf(name: string): string {
  return `stranger:${createHmac("sha256", strangersKey).update(name).digest("base64url").slice(0, 16)}`;
}

function invalidToken(): FlotillaError {
  return new FlotillaError("unauthenticated", "Invalid or expired token");
}
