import { type Clock, hasCode, withOwnDeadline } from "@flotilla/kit";
import type { Users } from "./introductions.ts";
import { RecentlyUsed } from "./recently-used.ts";
import { keyOf } from "./token-key.ts";

export interface PrincipalsOptions {
  readonly users: Pick<Users, "call">;
  readonly clock: Clock;
  /** Tokens remembered; above it the one that was not used longest is forgotten. Default 50,000, 10 MB. */
  readonly entriesMax?: number;
}

/**
 * Whose token it is, once the User Service has said so: for counting, never for authority. An unknown token counts for its
 * network only, so that nobody spends another's budget by making up tokens.
 */
export interface Principals {
  userOf(token: string): string | undefined;
  /** The User Service has answered a login with both. */
  learn(token: string, userId: string): void;
  /** Asks the User Service whose token it is, if nobody asks already; no caller waits for it. */
  ask(token: string): void;
  /** Whether the User Service, asked now, refuses the token. */
  isRefused(token: string): Promise<boolean>;
  /** The User Service does not know the token, or not any more. */
  forget(token: string): void;
}

const entriesMaxDefault = 50_000;
/** Questions at once; who is not asked about now is at the next call. */
const askedMax = 100;

export function makePrincipals(options: PrincipalsOptions): Principals {
  const { users, clock, entriesMax = entriesMaxDefault } = options;
  /** By the hash of the token. */
  const known = new RecentlyUsed<string>(entriesMax);
  const asked = new Set<string>();

  return {
    userOf: (token) => known.get(keyOf(token), clock.monotonicMs()),
    learn: (token, userId) => known.set(keyOf(token), userId, clock.monotonicMs()),
    forget: (token) => void known.delete(keyOf(token)),
    isRefused: (token) =>
      withOwnDeadline(() => idOf(token), clock).then(
        () => false,
        (error: unknown) => hasCode(error, "unauthenticated"),
      ),
    ask(token) {
      const key = keyOf(token);
      if (asked.has(key) || asked.size >= askedMax) return;
      asked.add(key);
      withOwnDeadline(() => idOf(token), clock)
        .then((userId) => known.set(key, userId, clock.monotonicMs()))
        .catch(() => {})
        .finally(() => asked.delete(key));
    },
  };

  function idOf(token: string): Promise<string> {
    return users.call(async (main) => {
      using user = main.getUserByToken(token);
      return await user.getId();
    });
  }
}
