import { reasonOf } from "../base/errors.ts";
import { circuitOpenReason } from "../resilience/breaker.ts";
import { mayHelp } from "./failures.ts";

/** An attempt of a call that may be repeated, when it has failed. Times are on one monotonic clock. Milliseconds. */
export interface FailedAttempt {
  /** From 0. */
  readonly number: number;
  readonly attemptsMax: number;
  /** When the next one would begin. */
  readonly nextAtMs: number;
  /** When nobody waits for an answer any more. */
  readonly endsAtMs: number;
  /** Until when it is waited for instances that cannot be asked. */
  readonly awayUntilMs: number;
  /** Whether one can be asked now. */
  readonly hasOpen: boolean;
}

/** Whether a call that failed with `error` is worth another attempt. */
export function mayRepeat(error: unknown, at: FailedAttempt): boolean {
  if (!mayHelp(error) || at.nextAtMs >= at.endsAtMs || at.number + 1 >= at.attemptsMax) return false;
  return (at.hasOpen && !isHeldBack(error)) || at.nextAtMs < at.awayUntilMs;
}

/** The one of two errors of a call that its caller is told: a word of the service tells more than that nothing was sent. */
export function moreTelling(said: unknown, error: unknown): unknown {
  return isHeldBack(error) && said !== undefined ? said : error;
}

/** A breaker let nothing through. */
function isHeldBack(error: unknown): boolean {
  return reasonOf(error) === circuitOpenReason;
}
