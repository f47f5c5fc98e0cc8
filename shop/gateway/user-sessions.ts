import { LimitReached } from "./limiter.ts";

/** Which open sessions have used a token of which user. */
export interface UserSessions {
  /**
   * `session` acts for the user from now on, if it did not before.
   * @throws LimitReached reason `session_limit`, when so many others do.
   */
  join(userId: string, session: object): void;
  /** The session is over. */
  leave(session: object): void;
}

/** WebSocket sessions of one user at once: a person has a few windows on a few devices. */
const sessionsPerUserMax = 50;

export function makeUserSessions(sessionsMax = sessionsPerUserMax): UserSessions {
  const sessionsOf = new Map<string, Set<object>>();
  const usersOf = new WeakMap<object, Set<string>>();
  return {
    join(userId, session) {
      const sessions = sessionsOf.get(userId) ?? new Set();
      if (sessions.has(session)) return;
      if (sessions.size >= sessionsMax) {
        throw new LimitReached("Too many sessions of this user", { reason: "session_limit" });
      }
      sessionsOf.set(userId, sessions.add(session));
      usersOf.set(session, (usersOf.get(session) ?? new Set()).add(userId));
    },
    leave(session) {
      for (const userId of usersOf.get(session) ?? []) {
        const sessions = sessionsOf.get(userId);
        sessions?.delete(session);
        if (sessions?.size === 0) sessionsOf.delete(userId);
      }
      usersOf.delete(session);
    },
  };
}
