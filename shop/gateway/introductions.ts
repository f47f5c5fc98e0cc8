import { createHash } from "node:crypto";
import { type Clock, type Connection, type Gifted, type Introduction, introduce, reasonOf } from "@flotilla/kit";
import type { User, UserService } from "../contracts/users.ts";

export interface IntroductionsOptions {
  /** The home of the users. */
  readonly users: Connection<UserService>;
  /** The service they are introduced to. */
  readonly to: string;
  readonly clock: Clock;
  /** Introductions kept; above it the one that was not used longest is ended. Default 10,000: people online at once. */
  readonly entriesMax?: number;
}

/** Introduces each logged-in user once, and uses the introduction again for as long as the token lives. */
export interface Introductions extends Disposable {
  /**
   * Runs `call` with an introduction of the user of `token`. `call` runs again, with a new one, when a kept
   * introduction turns out to be void: it was then refused before it had any effect.
   *
   * @throws FlotillaError the User Service's `unauthenticated` when the token is none, and what `call` throws.
   */
  with<R>(token: string, call: (user: Introduction<User>) => PromiseLike<R>): Promise<R>;
  readonly size: number;
}

const entriesMaxDefault = 10_000;

/** What the recipient and the home say about an introduction that is over: nothing was done, a new one may do. */
const voidReasons: ReadonlySet<string | undefined> = new Set(["introduction_refused", "expired", "home_restarted"]);

export function makeIntroductions(options: IntroductionsOptions): Introductions {
  const { users, to, clock, entriesMax = entriesMaxDefault } = options;
  /** By the hash of the token, the most recently used last. */
  const kept = new Map<string, Gifted<User>>();

  return {
    async with(token, call) {
      const key = createHash("sha256").update(token).digest("base64url");
      const known = reusable(key);
      if (known) {
        try {
          return await known.answer(call(known.value));
        } catch (error) {
          if (!voidReasons.has(reasonOf(error))) throw error;
          known[Symbol.dispose]();
        }
      }
      const fresh = reusable(key) ?? (await introduceUser(key, token));
      return await fresh.answer(call(fresh.value));
    },
    get size() {
      return kept.size;
    },
    [Symbol.dispose]() {
      for (const gift of [...kept.values()]) gift[Symbol.dispose]();
    },
  };

  function reusable(key: string): Gifted<User> | undefined {
    const gift = kept.get(key);
    if (!gift) return undefined;
    if (gift.instance !== users.instance) {
      // The home was restarted, or is away: what was deposited there is gone.
      gift[Symbol.dispose]();
      return undefined;
    }
    kept.delete(key);
    kept.set(key, gift);
    return gift;
  }

  async function introduceUser(key: string, token: string): Promise<Gifted<User>> {
    await users.opened();
    const other = reusable(key);
    if (other) return other;
    using user = users.main.getUserByToken(token);
    const gift = introduce<User>(user, { from: users, to, clock, onEnd: () => forget(key, gift) });
    kept.set(key, gift);
    const oldest = kept.size > entriesMax ? kept.values().next().value : undefined;
    oldest?.[Symbol.dispose]();
    return gift;
  }

  function forget(key: string, gift: Gifted<User>): void {
    if (kept.get(key) === gift) kept.delete(key);
  }
}
