import { FlotillaError, type Implementation, revocable } from "@flotilla/kit";
import type { User } from "../contracts/users.ts";
import type { Account } from "./account.ts";
import type { Standing } from "./login.ts";
import type { Hold } from "./revokers.ts";
import { isPermission } from "./role.ts";

/** Asks the store how somebody stands now: what may change is read anew at each call and counts from the next one on. */
export type Ask = () => Promise<Standing | undefined>;

/** The User capability. */
export class UserTarget implements Implementation<User>, Disposable {
  readonly #id: string;
  readonly #username: string;
  readonly #ask: Ask;
  readonly #hold: Hold | undefined;

  /** With `hold`, it ends with that login; without, it is for reading only and ends with nothing. */
  constructor({ id, username }: Pick<Account, "id" | "username">, ask: Ask, hold?: Hold) {
    this.#id = id;
    this.#username = username;
    this.#ask = ask;
    this.#hold = hold;
    if (hold) revocable(this, hold.revocation);
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
    return allows(await standing(this.#ask), permission);
  }

  [Symbol.dispose](): void {
    this.#hold?.[Symbol.dispose]();
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
