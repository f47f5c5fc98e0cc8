import type { Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";

/** Failures one after the other that open it. */
const failuresMax = 5;
/** How often it then tries one call, whether the one before was answered or not. Milliseconds. */
const openMs = 250;

export const circuitOpenReason = "circuit_open";

/** Lets calls through, lets none through, or lets one try. */
export type BreakerState = "closed" | "open" | "half_open";

/**
 * A circuit breaker (Nygard, "Release It!"): a peer that keeps failing is left alone, but for one call now and then. By
 * the monotonic clock, so that no step of the wall clock keeps it open (docs/decisions/0009-own-breaker.md).
 */
export interface Breaker {
  /** Whether a call would be let through now. */
  mayPass(): boolean;
  /** `half_open`: the next call, or one that is under way, tries whether it goes well again. */
  readonly state: BreakerState;
  /**
   * Runs `call`, which asks the service `name`.
   * @throws FlotillaError `unavailable`, reason `circuit_open`, with `retryAfterMs`, when nothing is let through; else
   *   what `call` throws, counted when `isFailure` says so.
   */
  run<R>(
    call: () => PromiseLike<R>,
    options: { readonly name: string; isFailure(error: unknown): boolean },
  ): PromiseLike<R>;
}

export function makeBreaker(clock: Clock): Breaker {
  let failures = 0;
  let openUntilMs = 0;
  let trials = 0;

  const isOpen = () => failures >= failuresMax;
  const mayPass = () => !isOpen() || clock.monotonicMs() >= openUntilMs;

  return {
    mayPass,
    get state() {
      if (!isOpen()) return "closed";
      return trials > 0 || mayPass() ? "half_open" : "open";
    },
    run(call, { name, isFailure }) {
      if (!mayPass()) return Promise.reject(circuitOpen(name, openUntilMs - clock.monotonicMs()));
      const isTrial = isOpen();
      if (isTrial) {
        trials += 1;
        leaveAlone();
      }
      const failed = (error: unknown) => {
        if (isTrial) trials -= 1;
        if (isFailure(error)) fail(isTrial);
        else failures = 0;
        throw error;
      };
      return begun(call).then((result) => {
        if (isTrial) trials -= 1;
        failures = 0;
        return result;
      }, failed);
    },
  };

  /** Those that were under way when it opened do not keep it open longer. */
  function fail(isTrial: boolean): void {
    const wasOpen = isOpen();
    failures += 1;
    if (isTrial || !wasOpen) leaveAlone();
  }

  function leaveAlone(): void {
    openUntilMs = clock.monotonicMs() + openMs;
  }
}

/** `call` begins in this turn; what it throws is a rejection. */
function begun<R>(call: () => PromiseLike<R>): PromiseLike<R> {
  try {
    return call();
  } catch (error) {
    return Promise.reject(error as Error);
  }
}

function circuitOpen(name: string, leftMs: number): FlotillaError {
  const detail = { reason: circuitOpenReason, retryAfterMs: Math.max(1, Math.ceil(leftMs)) };
  return new FlotillaError("unavailable", `${name} keeps failing, and is left alone for a moment`, detail);
}
