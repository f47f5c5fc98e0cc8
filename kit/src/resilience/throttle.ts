import type { Clock } from "../base/clock.ts";
import { FlotillaError, withoutStack } from "../base/errors.ts";
import { overloadRetryMs } from "../base/limits.ts";
import { overloadedReason } from "./turns.ts";

/**
 * Keeps us from asking a service that is overloaded for much more than it answers (adaptive throttling, "Site Reliability
 * Engineering", ch. 21). To refuse a call takes a service a good part of what it takes to answer one, so one that is asked
 * for ten times what it can would do nothing else.
 */
export interface Throttle {
  /** The answer of a call was asked for. */
  onAsked(): void;
  /** It came. */
  onAnswer(isOverloaded: boolean): void;
  /** @throws FlotillaError `resource_exhausted`, reason `overloaded`, for a call that is not to be sent. */
  pass(): void;
  /** Calls that were not sent so far. */
  readonly withheld: number;
}

/** How many calls are sent for each that is answered: enough to notice when more of them would be. */
const sentPerAnswered = 2;
/** What was so long ago counts half: short, so that the refusals of one moment are soon forgotten. Milliseconds. */
const halfLifeMs = 500;
/** As finely as that is counted. Milliseconds. */
const stepMs = 50;
/** With fewer refusals in memory than this there is nothing to hold back for. */
const refusedMin = 0.5;

export function makeThrottle(name: string, clock: Clock, random: () => number): Throttle {
  /** Calls of late: those that were meant to be made, and what came of them. */
  let asked = 0;
  let answered = 0;
  let refused = 0;
  let countedAtMs = 0;
  let withheld = 0;

  return {
    onAsked() {
      forget();
      asked += 1;
    },
    onAnswer(isOverloaded) {
      if (isOverloaded) refused += 1;
      else answered += 1;
    },
    pass() {
      if (refused === 0) return;
      forget();
      if (random() >= (asked - sentPerAnswered * answered) / (asked + 1)) return;
      asked += 1;
      withheld += 1;
      throw withoutStack(() => overloaded(name));
    },
    get withheld() {
      return withheld;
    },
  };

  function forget(): void {
    const nowMs = clock.monotonicMs();
    if (nowMs - countedAtMs < stepMs) return;
    const left = 0.5 ** ((nowMs - countedAtMs) / halfLifeMs);
    countedAtMs = nowMs;
    asked *= left;
    answered *= left;
    refused = refused * left < refusedMin ? 0 : refused * left;
  }
}

function overloaded(name: string): FlotillaError {
  const detail = { reason: overloadedReason, retryAfterMs: overloadRetryMs };
  return new FlotillaError("resource_exhausted", `${name} is overloaded, and was not asked; try again later`, detail);
}
