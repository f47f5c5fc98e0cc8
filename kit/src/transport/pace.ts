import type { Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import type { Limits } from "../base/limits.ts";
import { makeQueueWatch, type Standing } from "../base/load.ts";
import { makeTokenBucket } from "../base/token-bucket.ts";

export type PaceLimits = Pick<Limits, "messagesPerTurnMax" | "addressMessagesPerSecondMax" | "addressMessagesBurstMax">;

/**
 * Keeps a flood of messages from holding the event loop: after `messagesPerTurnMax` messages all sockets are read
 * first. Network
 * addresses take turns, so an address with many sessions, or much unread, delays itself.
 */
export interface Paces {
  /** The pace of one more network address. */
  join(): Pace;
}

/** Shared by the sessions of one network address. */
export interface Pace {
  /**
   * A message has arrived. Call it before anything is spent on that message.
   * @throws FlotillaError `resource_exhausted`, reason `message_rate`, with `retryAfterMs`, beyond the address's budget.
   */
  charge(): void;
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

/** @returns undefined, no pace, when `messagesPerTurnMax` is infinite. */
export function makePaces(limits: PaceLimits, clock: Clock): Paces | undefined {
  const { messagesPerTurnMax: perTurn, addressMessagesPerSecondMax: calls, addressMessagesBurstMax: burst } = limits;
  if (!Number.isFinite(perTurn)) return undefined;
  let left = perTurn;
  /** The waiting readers of each address that has some; the first address is next. */
  let queue: Reader[][] = [];
  let isCounting = false;

  return { join };

  function join(): Pace {
    const readers: Reader[] = [];
    const watch = makeQueueWatch();
    const budget = makeTokenBucket({ calls, perMs: 1_000, burst });
    let filledSessions = 0;
    return {
      charge() {
        const nowMs = clock.monotonicMs();
        if (!budget.take(nowMs)) throw tooMany(budget.waitMs(nowMs));
      },
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

function tooMany(retryAfterMs: number): FlotillaError {
  const detail = { reason: "message_rate", retryAfterMs };
  return new FlotillaError("resource_exhausted", "Too many messages from this address", detail);
}
