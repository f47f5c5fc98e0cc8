import type { Clock } from "../base/clock.ts";
import { afterTurn } from "../base/platform.ts";

/**
 * A queue of this process, and whether it goes away by itself. A burst makes a long queue for a moment; one that does not
 * become empty means that more comes than can be done, and then its length is only time that everybody loses (CoDel:
 * Nichols and Jacobson, "Controlling queue delay", 2012; for services Maurer, "Fail at scale", 2015). From then on what has
 * waited is refused after a short time, so that who is answered is answered soon, and who is not knows it at once.
 *
 * Whether it was empty decides, and not the waits alone: a process that gets too little of its processor has long waits,
 * and no overload.
 */
export interface QueueWatch extends Standing {
  /** Nothing waits. */
  emptied(nowMs: number): void;
}

/** Whether a queue stands, as `QueueWatch` explains it. */
export interface Standing {
  /**
   * Something has waited for so long, of the time that it has in all.
   * @returns whether the queue stands: what has waited is to be refused.
   */
  waited(ms: number, timeMs: number, nowMs: number): boolean;
  readonly isStanding: boolean;
}

/** A queue that was never empty for so long stands. Milliseconds. */
const standingMs = 1_000;
/** When those in it have waited for this much of their time; who waits less is served better by waiting. */
const waitShareMin = 0.1;
/** Both for one that stood a moment ago. Milliseconds. */
const standingAgainMs = 100;
const rememberedMs = 5_000;

export function makeQueueWatch(): QueueWatch {
  // A queue of which nobody ever said so is none.
  let emptyAtMs = Number.POSITIVE_INFINITY;
  let stoodAtMs = Number.NEGATIVE_INFINITY;
  let isStanding = false;

  return {
    emptied(nowMs) {
      emptyAtMs = nowMs;
      if (isStanding) stoodAtMs = nowMs;
      isStanding = false;
    },
    waited(ms, timeMs, nowMs) {
      if (isStanding) return true;
      const stoodLately = nowMs - stoodAtMs < rememberedMs;
      const longMs = Math.min(timeMs * waitShareMin, stoodLately ? standingAgainMs : timeMs);
      isStanding = ms >= longMs && nowMs - emptyAtMs >= (stoodLately ? standingAgainMs : standingMs);
      return isStanding;
    },
    get isStanding() {
      return isStanding;
    },
  };
}

/** The refusals of a process for overload. */
export interface Load {
  /** A call was refused for overload. */
  refused(): void;
  /** Refuses a call that waited: runs `reject` now, or in a later turn of the event loop when many are refused at once. */
  refuse(reject: () => void): void;
  readonly isOverloaded: boolean;
  /** Calls that were refused for overload so far. */
  readonly shed: number;
}

/** How long a process that refused calls counts as overloaded. Milliseconds. */
const overloadedMs = 1_000;
/** About 2 ms: a refusal takes 30 µs until it is written, so a queue of thousands would hold everybody up for 100 ms. */
const refusalsPerTurnMax = 64;

export function makeLoad(clock: Clock): Load {
  let shed = 0;
  let shedAtMs = Number.NEGATIVE_INFINITY;
  let refusalsLeft = refusalsPerTurnMax;
  let postponed: (() => void)[] = [];

  return {
    refused,
    refuse(reject) {
      refused();
      if (refusalsLeft === refusalsPerTurnMax) afterTurn(beginTurn);
      if (refusalsLeft === 0) {
        postponed.push(reject);
        return;
      }
      refusalsLeft -= 1;
      reject();
    },
    get isOverloaded() {
      return clock.monotonicMs() - shedAtMs < overloadedMs;
    },
    get shed() {
      return shed;
    },
  };

  function refused(): void {
    shed += 1;
    shedAtMs = clock.monotonicMs();
  }

  function beginTurn(): void {
    const due = postponed.slice(0, refusalsPerTurnMax);
    postponed = postponed.slice(due.length);
    refusalsLeft = refusalsPerTurnMax - due.length;
    if (due.length > 0) afterTurn(beginTurn);
    for (const reject of due) reject();
  }
}
