import type { Cancel, Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import type { Limits } from "../base/limits.ts";
import type { Session } from "./session.ts";

/**
 * Ends a session that says nothing for too long, or has lived long enough.
 * @returns to be called whenever the peer said something.
 */
export function limitLifetime(session: Session, limits: Limits, clock: Clock): () => void {
  let heardAtMs = clock.monotonicMs();
  const cancelAge = after(limits.sessionAgeMsMax, () => end("session_age"));
  let cancelSilence = waitForSilence(limits.sessionIdleMsMax);
  void session.closed.then(() => {
    cancelAge();
    cancelSilence();
  });
  return () => {
    heardAtMs = clock.monotonicMs();
  };

  /** One timer per session, set anew when it rings and not for each frame. */
  function waitForSilence(ms: number): Cancel {
    return after(ms, () => {
      const leftMs = limits.sessionIdleMsMax - (clock.monotonicMs() - heardAtMs);
      if (leftMs > 0) cancelSilence = waitForSilence(leftMs);
      else end("session_idle");
    });
  }

  function after(ms: number, run: () => void): Cancel {
    return Number.isFinite(ms) ? clock.after(ms, run) : () => {};
  }

  function end(reason: "session_age" | "session_idle"): void {
    session.close(new FlotillaError("unavailable", "The session has ended; open another", { reason }));
  }
}
