import { performance } from "node:perf_hooks";
import type { Clock } from "./clock.ts";

/**
 * Whether this process gets more to do than it can, told by how long calls wait before they begin (the measure of DAGOR,
 * "Overload control for scaling WeChat microservices", 2018), and what is then not begun any more: what has waited longer
 * than it takes to answer (the controlled delay of Maurer, "Fail at scale", 2015). So what is answered is answered soon,
 * what is refused hears of it at once, and nothing is done for who has given up.
 */
export interface Load {
  /**
   * To be asked once for each call, when it could begin.
   * @param nowMs on `Clock.monotonicMs`.
   * @param waitMsMax that a call of its class may wait while there is overload.
   * @returns whether it is refused.
   */
  sheds(waitedMs: number, waitMsMax: number, nowMs: number): boolean;
  /**
   * Of the calls that share something else, such as the turns of one address. What stands before those may be of their
   * own making, and is no reason to refuse others; what stands before all is one to refuse them too.
   */
  part(): Pick<Load, "sheds">;
  readonly isOverloaded: boolean;
  /** Calls that were refused so far, by this or a part of it. */
  readonly shed: number;
}

export interface LoadOptions {
  readonly clock: Clock;
  /** The share of the time since it was last asked in which this process had something to do, 0 to 1. */
  readonly utilization?: () => number;
}

/** What is judged by itself. Milliseconds. */
const windowMs = 100;
/** So many windows one after the other: a burst is worked off in less, and is no overload. */
const windowsMin = 4;
/** Calls that wait longer have a standing queue before them. At full load 256 callers wait 20. Milliseconds. */
const standingMs = 100;
/** A process that rests more than the rest of it is not what its calls wait for. */
const utilizationMin = 0.9;
/** Overload is over when fewer of the calls than this would have been refused. */
const refusedShareMin = 0.1;

export function makeLoad({ clock, utilization = makeUtilization() }: LoadOptions): Load {
  const whole = makeQueueWatch(() => utilization() > utilizationMin);
  let shed = 0;
  return {
    sheds: (waitedMs, waitMsMax, nowMs) => counted(whole.isTooLate(waitedMs, waitMsMax, nowMs)),
    part() {
      const own = makeQueueWatch(() => true);
      return {
        sheds(waitedMs, waitMsMax, nowMs) {
          const isLateForAll = whole.isTooLate(waitedMs, waitMsMax, nowMs);
          return counted(own.isTooLate(waitedMs, waitMsMax, nowMs) || isLateForAll);
        },
      };
    },
    get isOverloaded() {
      return whole.isStanding(clock.monotonicMs());
    },
    get shed() {
      return shed;
    },
  };

  function counted(isShed: boolean): boolean {
    if (isShed) shed += 1;
    return isShed;
  }
}

interface QueueWatch {
  isTooLate(waitedMs: number, waitMsMax: number, nowMs: number): boolean;
  /** Whether there is a queue that does not go away by itself. */
  isStanding(nowMs: number): boolean;
}

/** @param isBusy asked once for each window. */
function makeQueueWatch(isBusy: () => boolean): QueueWatch {
  let windowEndsAtMs = Number.NEGATIVE_INFINITY;
  let calls = 0;
  let standing = 0;
  let late = 0;
  let windows = 0;
  let isStanding = false;

  return {
    isTooLate(waitedMs, waitMsMax, nowMs) {
      if (nowMs >= windowEndsAtMs) judge(nowMs);
      calls += 1;
      if (waitedMs <= waitMsMax) return false;
      late += 1;
      if (waitedMs > standingMs) standing += 1;
      return isStanding;
    },
    isStanding: (nowMs) => isStanding && nowMs < windowEndsAtMs + windowMs,
  };

  /** The window that has ended; when nobody called in the one after it, what was is no matter any more. */
  function judge(nowMs: number): void {
    const wasBusy = isBusy();
    if (nowMs >= windowEndsAtMs + windowMs) {
      windows = 0;
      isStanding = false;
    } else if (isStanding) {
      isStanding = late > calls * refusedShareMin;
    } else {
      windows = wasBusy && standing > calls / 2 ? windows + 1 : 0;
      isStanding = windows >= windowsMin;
      if (isStanding) windows = 0;
    }
    windowEndsAtMs = nowMs + windowMs;
    calls = 0;
    standing = 0;
    late = 0;
  }
}

/** Of the event loop, which is what all calls of a process share. */
function makeUtilization(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}
