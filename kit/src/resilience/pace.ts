import type { Clock } from "../base/clock.ts";
import { makeQueueWatch, type Standing } from "./load.ts";

/**
 * Keeps a flood of messages from holding the event loop: after `perTurn` messages all sockets are read first. Network
 * addresses take turns, so an address with many sessions, or much unread, delays itself.
 */
export interface Paces {
  /** The pace of one more network address. */
  join(): Pace;
}

/** Shared by the sessions of one network address. */
export interface Pace {
  /**
   * Undefined when the next message may be read now; otherwise a promise that resolves in a later turn of the event loop.
   * The waiting readers of an address go on one after the other, each with one message.
   */
  next(): Promise<void> | undefined;
  /** A session has unread messages, after it had none. */
  filled(): void;
  /** It has read or dropped them all. */
  emptied(): void;
  /** The unread messages of this address alone: a backlog that others made is no reason to refuse its calls. */
  readonly unread: Standing;
}

type Reader = () => void;

/** @param perTurn messages of all sessions together. @returns undefined, no pace, when `perTurn` is infinite. */
export function makePaces(perTurn: number, clock: Clock): Paces | undefined {
  if (!Number.isFinite(perTurn)) return undefined;
  let left = perTurn;
  /** The waiting readers of each address that has some; the first address is next. */
  let queue: Reader[][] = [];
  let isCounting = false;

  return { join };

  function join(): Pace {
    const readers: Reader[] = [];
    const watch = makeQueueWatch();
    let filledSessions = 0;
    return {
      next() {
        countTurn();
        if (left > 0 && queue.length === 0) {
          left -= 1;
          return undefined;
        }
        if (readers.length === 0) queue.push(readers);
        return new Promise((resolve) => readers.push(resolve));
      },
      filled() {
        if (filledSessions === 0) watch.emptied(clock.monotonicMs());
        filledSessions += 1;
      },
      emptied() {
        filledSessions -= 1;
        if (filledSessions === 0) watch.emptied(clock.monotonicMs());
      },
      unread: {
        waited: (ms, timeMs, nowMs) => filledSessions > 0 && watch.waited(ms, timeMs, nowMs),
        get isStanding() {
          return watch.isStanding;
        },
      },
    };
  }

  function countTurn(): void {
    if (isCounting) return;
    isCounting = true;
    setImmediate(() => {
      isCounting = false;
      const next = takeTurns();
      left = perTurn - next.length;
      if (queue.length > 0) countTurn();
      for (const resolve of next) resolve();
    });
  }

  /** One reader of each address in turn, until `perTurn` have been taken or none waits. */
  function takeTurns(): Reader[] {
    const next: Reader[] = [];
    while (queue.length > 0 && next.length < perTurn) {
      const round = queue.splice(0, perTurn - next.length);
      for (const readers of round) next.push(readers.shift()!);
      queue = queue.concat(round.filter((readers) => readers.length > 0));
    }
    return next;
  }
}
