import { type Connection, FlotillaError, hasCode, type RpcStub, reasonOf, stoppingReason } from "@flotilla/kit";
import type { Account, UserService } from "../contracts/users.ts";
import { reads } from "./calls.ts";
import type { Hosted, Users } from "./introductions.ts";

/** An account at the instance that hosts it. */
interface Held {
  readonly stub: RpcStub<Account>;
  readonly from: Connection<UserService>;
  /** The session it hangs on. */
  readonly sessionNumber: number;
  readonly instance: string | undefined;
}

/**
 * Somebody's account, obtained for a token at one instance of the User Service and, when that instance stops or is lost,
 * for the same token at another.
 *
 * SECURITY: the token is all that is kept for it, and it is presented as by anybody: an account is had for it only while the
 * token holds and its login stands, and is of the same person. When it is refused once, it is kept no longer.
 */
export class HeldAccount implements Disposable {
  readonly #users: Users;
  #token: string | undefined;
  #held: Held;
  /** Earlier ones, in which calls may be under way; each ends with its session. */
  #left: Held[] = [];
  #renewing: Promise<Held> | undefined;
  /** What the User Service said when it refused the token. */
  #refusal: unknown;
  #isDisposed = false;

  private constructor(token: string, users: Users, held: Held) {
    this.#token = token;
    this.#users = users;
    this.#held = held;
  }

  /** @throws FlotillaError the User Service's `unauthenticated`. */
  static async open(token: string, users: Users): Promise<HeldAccount> {
    return new HeldAccount(token, users, await obtain(token, users));
  }

  /** Runs `use` once; again, at another instance, when the first has not begun it because it is stopping. */
  run<R>(use: (account: RpcStub<Account>) => PromiseLike<R>): Promise<R> {
    return this.#run(use, (error) => reasonOf(error) === stoppingReason);
  }

  /** The same for what changes nothing, which also runs again when its answer was lost. */
  read<R>(use: (account: RpcStub<Account>) => PromiseLike<R>): Promise<R> {
    return this.#run(use, (error, held) => hasCode(error, "unavailable") && !isLive(held));
  }

  /** The user of the account, for an introduction. */
  async hosted(except?: string): Promise<Hosted> {
    const { from, stub } = await this.#live(except);
    return { from, user: () => stub.user() };
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#token = undefined;
    this.#refusal = new FlotillaError("unavailable", "The account was given back");
    for (const { stub } of [this.#held, ...this.#left]) stub[Symbol.dispose]();
  }

  async #run<R>(
    use: (account: RpcStub<Account>) => PromiseLike<R>,
    mayRepeat: (error: unknown, held: Held) => boolean,
  ): Promise<R> {
    const held = await this.#live();
    try {
      return await use(held.stub);
    } catch (error) {
      if (!mayRepeat(error, held)) throw error;
      const other = await this.#live(held.instance);
      if (other === held) throw error;
      return await use(other.stub);
    }
  }

  async #live(except?: string): Promise<Held> {
    const held = this.#held;
    if (isLive(held) && (except === undefined || held.instance !== except)) return held;
    this.#renewing ??= this.#renew(except).finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renew(except?: string): Promise<Held> {
    const before = this.#held;
    try {
      if (this.#token === undefined) throw this.#refusal;
      const obtained = await obtain(this.#token, this.#users, except);
      // No other is there, or this one was left before: one is held at each, however often it is tried.
      const known = [before, ...this.#left].find((held) => isOfOneSession(held, obtained));
      if (known || this.#isDisposed) obtained.stub[Symbol.dispose]();
      if (this.#isDisposed) return before;
      const next = known ?? obtained;
      this.#left = [...this.#left, before].filter(
        (held) => held !== next && (isSameSession(held) || held.stub[Symbol.dispose]()),
      );
      this.#held = next;
      return next;
    } catch (error) {
      if (hasCode(error, "unauthenticated")) {
        this.#token = undefined;
        this.#refusal = error;
      }
      // One that stops takes calls for a moment yet.
      if (isSameSession(before)) return before;
      throw error;
    }
  }
}

async function obtain(token: string, users: Users, except?: string): Promise<Held> {
  const at = async (main: RpcStub<UserService>, from: Connection<UserService>): Promise<Held> => {
    const { sessionNumber, instance } = from;
    return { stub: await main.account(token), from, sessionNumber, instance };
  };
  return await users.call(at, { ...reads, except });
}

function isLive(held: Held): boolean {
  return isSameSession(held) && !held.from.isLeaving;
}

function isSameSession({ from, sessionNumber }: Held): boolean {
  return from.isOpen && from.sessionNumber === sessionNumber;
}

function isOfOneSession(one: Held, other: Held): boolean {
  return one.from === other.from && one.sessionNumber === other.sessionNumber;
}
