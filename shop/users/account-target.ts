import { FlotillaError, type Implementation, revocable } from "@flotilla/kit";
import type { Account, Ended, Login, LoginSession, Profile } from "../contracts/users.ts";
import { actorNow } from "../service/audit.ts";
import { AdministrationTarget } from "./administration.ts";
import { type Found, issue, newLogin, type UserDeps } from "./authentication.ts";
import { assertEmail } from "./email.ts";
import { assertAcceptablePassword } from "./password-policy.ts";
import type { Hold } from "./revokers.ts";
import { type Ask, allows, standing, UserTarget } from "./user.ts";

/**
 * The Account capability. What ends logins commits, revokes, and only then answers: before its caller hears of it, no
 * call begins on anything that came of those logins, whoever holds it.
 *
 * SECURITY: at another instance nobody is told of it. So each method asks the store whether the login stands before it
 * shows or does anything; `logout`, which asks nothing, does nothing to a login that has ended.
 */
export class AccountTarget implements Implementation<Account>, Disposable {
  readonly #deps: UserDeps;
  readonly #found: Found;
  readonly #ask: Ask;

  /** Owns the hold. */
  constructor(deps: UserDeps, found: Found) {
    this.#deps = deps;
    this.#found = found;
    this.#ask = askFor(deps, found);
    revocable(this, found.hold.revocation);
  }

  user(): UserTarget {
    return userOf(this.#deps, this.#found, this.#found.hold.again());
  }

  administration(): AdministrationTarget {
    const { login, hold } = this.#found;
    return new AdministrationTarget(this.#deps, { login, ask: this.#ask, hold: hold.again() });
  }

  async getProfile(): Promise<Profile> {
    return toProfile((await standing(this.#ask)).account);
  }

  async editProfile({ email }: { email?: string }): Promise<Profile> {
    const now = await standing(this.#ask);
    if (!allows(now, "profile.edit")) {
      await this.#deps.store.refuse("profile.edit", this.#actor());
      throw new FlotillaError("permission_denied", "You don't have permission to edit your profile");
    }
    if (email === undefined || email === now.account.email) return toProfile(now.account);
    assertEmail(email);
    return toProfile(await this.#deps.store.setEmail(now.account.id, email, this.#actor()));
  }

  async changePassword(current: string, next: string): Promise<Login> {
    const { store, passwords, revokers } = this.#deps;
    const { account } = await standing(this.#ask);
    if (!(await passwords.verify(account.passwordHash, current))) {
      await store.refuseLogin(account.id, this.#actor());
      throw new FlotillaError("unauthenticated", "The current password is another", { reason: "wrong_password" });
    }
    assertAcceptablePassword(next, account);
    const password = { verifiedHash: account.passwordHash, passwordHash: await passwords.hash(next) };
    const { refreshToken, ...asked } = newLogin(account.id);
    const login = await store.changePassword(password, asked, this.#actor());
    if (!login) throw new FlotillaError("aborted", "The password was changed meanwhile");
    revokers.endAccount(account.id);
    return await issue(this.#deps, { account, login, refreshToken });
  }

  async listSessions(): Promise<LoginSession[]> {
    const { store, clock } = this.#deps;
    await standing(this.#ask);
    const { accountId, sid: own } = this.#found.login;
    return (await store.listLogins(accountId, clock.now())).map((login) => ({
      sessionId: login.sid,
      createdAt: login.createdAtMs,
      lastUsedAt: login.lastUsedAtMs,
      expiresAt: login.idleEndsAtMs,
      isThisOne: login.sid === own,
    }));
  }

  async endSession(sessionId: string): Promise<void> {
    const { store, revokers } = this.#deps;
    await standing(this.#ask);
    const login = { accountId: this.#found.login.accountId, sid: sessionId };
    const isEnded = await store.endLogin(login, "session_ended", this.#actor());
    if (!isEnded) throw new FlotillaError("not_found", "Session not found");
    revokers.endLogin(login);
  }

  async logout(): Promise<Ended> {
    const { store, revokers } = this.#deps;
    const isEnded = await store.endLogin(this.#found.login, "logout", this.#actor());
    revokers.endLogin(this.#found.login);
    return { ended: isEnded ? 1 : 0 };
  }

  async logoutEverywhere(): Promise<Ended> {
    const { store, revokers } = this.#deps;
    await standing(this.#ask);
    const { accountId } = this.#found.login;
    const ended = await store.endLogins(accountId, this.#actor());
    revokers.endAccount(accountId);
    return { ended };
  }

  [Symbol.dispose](): void {
    this.#found.hold[Symbol.dispose]();
  }

  #actor() {
    return actorNow(this.#deps.clock, this.#found.login);
  }
}

/** The User of a login, which owns `hold`; the trail says to whom it is introduced. */
export function userOf(deps: UserDeps, { account, login }: Pick<Found, "account" | "login">, hold: Hold): UserTarget {
  const { store, clock } = deps;
  return new UserTarget(account, askFor(deps, { login }), {
    hold,
    introduced: (introduction) => store.noteIntroduction(introduction, actorNow(clock, login)),
  });
}

/** How the holder of a login stands now. */
export function askFor({ store, clock }: UserDeps, { login }: Pick<Found, "login">): Ask {
  return () => store.standing(login.accountId, { sid: login.sid, nowMs: clock.now() });
}

function toProfile({ id: userId, username, email, role }: Found["account"]): Profile {
  return { userId, username, email, role };
}
