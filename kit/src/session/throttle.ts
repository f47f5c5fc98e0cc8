import type { Clock } from "../base/clock.ts";
import { FlotillaError, withoutStack } from "../base/errors.ts";
import { overloadRetryMs } from "../base/limits.ts";
import { overloadedReason } from "../base/turns.ts";

/**
 * Keeps us from asking a service that is overloaded for much more than it answers (adaptive throttling, "Site Reliability
 * Engineering", ch. 21). To refuse a call takes a service a good part of what it takes to answer one, so one that is asked
 * for ten times what it can would do nothing else.
 */
export interface Throttle {
  /** A call was sent. */
  readonly onCall: () => void;
  /** One was refused for overload. */
  readonly onOverloaded: () => void;
  /** @throws FlotillaError `resource_exhausted`, reason `overloaded`, for a call that is not to be sent. */
  pass(): void;
  /** Calls that were not sent so far. */
  readonly held: number;
}

/** How many calls are sent for each that is answered: enough to notice when more of them would be. */
const sentPerAnswered = 1.5;
/** What was so long ago counts half. Milliseconds. */
const halfLifeMs = 1_000;
/** With fewer calls in memory than this nothing is to be told. */
const rememberedMin = 1;

export function makeThrottle(name: string, clock: Clock, random: () => number): Throttle {
  let sent = 0;
  let refused = 0;
  let heldNow = 0;
  let held = 0;
  let decayedAtMs = 0;

  return {
    onCall() {
      if (refused > 0) sent += 1;
    },
    onOverloaded() {
      if (refused === 0) begin();
      refused += 1;
    },
    pass() {
      if (refused === 0) return;
      decay();
      const asked = sent + heldNow;
      const share = (asked - sentPerAnswered * Math.max(0, sent - refused)) / (asked + 1);
      if (random() >= share) return;
      heldNow += 1;
      held += 1;
      throw withoutStack(() => overloaded(name));
    },
    get held() {
      return held;
    },
  };

  function begin(): void {
    sent = 1;
    heldNow = 0;
    decayedAtMs = clock.monotonicMs();
  }

  function decay(): void {
    const nowMs = clock.monotonicMs();
    if (nowMs - decayedAtMs < halfLifeMs / 10) return;
    const left = 0.5 ** ((nowMs - decayedAtMs) / halfLifeMs);
    decayedAtMs = nowMs;
    sent *= left;
    heldNow *= left;
    refused = refused * left < rememberedMin ? 0 : refused * left;
  }
}

function overloaded(name: string): FlotillaError {
  const detail = { reason: overloadedReason, retryAfterMs: overloadRetryMs };
  return new FlotillaError("resource_exhausted", `${name} is overloaded, and was not asked; try again later`, detail);
}
