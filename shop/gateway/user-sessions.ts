import type { Clock } from "@flotilla/kit";
import { userLimits } from "../service/rate-settings.ts";
import { LimitReached } from "./limiter.ts";
import { makeReview } from "./review.ts";

/** The open sessions that act for each user. */
export interface UserSessions {
  /**
   * `session` acts for the user by `token` from now on, if it did not before. When all places are taken, the tokens behind
   * them are tried first, and sessions whose token has ended lose theirs: whoever once had a token does not keep its user
   * out.
   * @throws LimitReached reason `session_limit`, when no place is left.
   */
  join(userId: string, session: object, token: string): Promise<void>;
  /** Whether `session` acts for the user already. */
  has(userId: string, session: object): boolean;
  /** The User Service has answered a call of `session` by `token`: it keeps its place, or takes one that is free. */
  confirm(userId: string, session: object, token: string): void;
  /** The User Service has refused `token`: the sessions that acted by it leave. */
  refuse(userId: string, token: string): void;
  /** The session is over. */
  leave(session: object): void;
}

export interface UserSessionsOptions {
  readonly clock: Clock;
  /** Whether the User Service refuses the token. */
  isRefused(token: string): Promise<boolean>;
  /** Default `userLimits.sessionsMax`. */
  readonly sessionsMax?: number;
}

interface Places {
  /** Each session with the token by which it acted last. */
  readonly tokens: Map<object, string>;
  /** Asks about up to fifty tokens. */
  review(): Promise<void>;
}

export function makeUserSessions(options: UserSessionsOptions): UserSessions {
  const { clock, isRefused, sessionsMax = userLimits.sessionsMax } = options;
  const placesOf = new Map<string, Places>();
  const usersOf = new WeakMap<object, Set<string>>();
  /** Calls of a session may still be answered when it is over. */
  const left = new WeakSet<object>();

  return {
    async join(userId, session, token) {
      if (!hasPlace(userId, session)) await placesOf.get(userId)?.review();
      if (!hasPlace(userId, session)) {
        throw new LimitReached(`A user has at most ${sessionsMax} sessions`, { reason: "session_limit" });
      }
      if (!placesOf.get(userId)?.tokens.has(session)) take(userId, session, token);
    },
    has: (userId, session) => placesOf.get(userId)?.tokens.has(session) === true,
    confirm(userId, session, token) {
      if (placesOf.get(userId)?.tokens.get(session) === token) return;
      if (hasPlace(userId, session)) take(userId, session, token);
    },
    refuse,
    leave(session) {
      left.add(session);
      for (const userId of usersOf.get(session) ?? []) giveUp(userId, session);
      usersOf.delete(session);
    },
  };

  function hasPlace(userId: string, session: object): boolean {
    const tokens = placesOf.get(userId)?.tokens;
    return !tokens || tokens.has(session) || tokens.size < sessionsMax;
  }

  function take(userId: string, session: object, token: string): void {
    if (left.has(session)) return;
    const places = placesOf.get(userId) ?? newPlaces(userId);
    places.tokens.set(session, token);
    placesOf.set(userId, places);
    usersOf.set(session, (usersOf.get(session) ?? new Set()).add(userId));
  }

  function newPlaces(userId: string): Places {
    const tokens: Places["tokens"] = new Map();
    return { tokens, review: makeReview(clock, () => tryTokens(userId, new Set(tokens.values()))) };
  }

  function giveUp(userId: string, session: object): void {
    const places = placesOf.get(userId);
    places?.tokens.delete(session);
    if (places?.tokens.size === 0) placesOf.delete(userId);
  }

  function refuse(userId: string, token: string): void {
    for (const [session, by] of placesOf.get(userId)?.tokens ?? []) if (by === token) giveUp(userId, session);
  }

  async function tryTokens(userId: string, tokens: ReadonlySet<string>): Promise<void> {
    const tryOne = async (token: string) => void ((await isRefused(token)) && refuse(userId, token));
    await Promise.all([...tokens].map(tryOne));
  }
}
