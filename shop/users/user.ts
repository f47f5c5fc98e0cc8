import {
  deposited,
  FlotillaError,
  type HearsOfDeposits,
  type Implementation,
  revocable,
  type StandsUntil,
  standsUntil,
} from "@flotilla/kit";
import type { User } from "../contracts/users.ts";
import type { Account } from "./account.ts";
import type { Standing } from "./login.ts";
import type { Hold } from "./revokers.ts";
import { isPermission } from "./role.ts";

/** Asks the store how somebody stands now: what may change is read anew at each call and counts from the next one on. */
export type Ask = () => Promise<Standing | undefined>;

/** Of what somebody logged in to. */
export interface OfLogin {
  readonly hold: Hold;
  /** Hears to whom the user is introduced. */
  introduced(introduction: { readonly gifter: string; readonly recipient: string }): Promise<void>;
}

/** The User capability. */
export class UserTarget implements Implementation<User>, HearsOfDeposits, StandsUntil, Disposable {
  readonly #id: string;
  readonly #username: string;
  readonly #ask: Ask;
  readonly #login: OfLogin | undefined;
  /** As of the last question. */
  #endsAtMs = Number.POSITIVE_INFINITY;

  /** With `login`, whose hold it owns, it ends with that; without, it is for reading only and ends with nothing. */
  constructor({ id, username }: Pick<Account, "id" | "username">, ask: Ask, login?: OfLogin) {
    this.#id = id;
    this.#username = username;
    this.#ask = ask;
    this.#login = login;
    if (login) revocable(this, login.hold.revocation);
  }

  getId(): string {
    return this.#id;
  }

  getUsername(): string {
    return this.#username;
  }

  async getEmail(): Promise<string> {
    return (await standing(this.#ask)).account.email;
  }

  async getRole(): Promise<string> {
    return (await standing(this.#ask)).account.role;
  }

  async hasPermission(permission: string): Promise<boolean> {
    const now = await standing(this.#ask);
    this.#endsAtMs = now.endsAtMs;
    return allows(now, permission);
  }

  /** A login that is idle ends sooner than its capabilities. */
  [standsUntil](): number {
    return this.#endsAtMs;
  }

  async [deposited](introduction: { readonly gifter: string; readonly recipient: string }): Promise<void> {
    await this.#login?.introduced(introduction);
  }

  [Symbol.dispose](): void {
    this.#login?.hold[Symbol.dispose]();
  }
}

/** Also where no revoker reached: the login ended by itself, say. */
export async function standing(ask: Ask): Promise<Standing> {
  const now = await ask();
  if (!now) throw new FlotillaError("permission_denied", "The capability was revoked", { reason: "revoked" });
  return now;
}

/** A word that is no permission is denied even if a role were to grant it. */
export function allows({ permissions }: Standing, permission: string): boolean {
  return isPermission(permission) && permissions.includes(permission);
}
