import { hasCode, reasonOf } from "../base/errors.ts";
import { stoppingReason } from "../rpc/stopping.ts";

/** Said of the capability that a call brought: neither of the service, nor is it another at the next attempt. */
const reasonsOfCalls: ReadonlySet<string | undefined> = new Set(["home_restarted", "home_unreachable"]);

/**
 * Whether `error` counts against the instance that was asked.
 *
 * SECURITY: nothing that a caller can bring about counts, or one of them could open the circuit for all: neither
 * `deadline_exceeded`, whose deadline is the caller's, nor `internal`, which a single odd request may cause. A service that
 * hangs is noticed by its heartbeat.
 */
export function isFailure(error: unknown): boolean {
  return mayHelp(error) && reasonOf(error) !== stoppingReason;
}

/** Whether another attempt, or another instance, may bring another answer. */
export function mayHelp(error: unknown): boolean {
  return hasCode(error, "unavailable") && !reasonsOfCalls.has(reasonOf(error));
}
