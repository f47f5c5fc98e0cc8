import type { Clock } from "../base/clock.ts";
import { type Limits, overloadRetryMs } from "../base/limits.ts";
import { makeTokenBucket, type TokenBucket } from "../resilience/token-bucket.ts";
import type { MeteredSocket } from "./metered-socket.ts";

/**
 * One network's share of the server's reading. Its sockets wait in the narrowest network that they belong to; that network
 * waits in the next wider one.
 */
export interface Share {
  readonly connectionsMax: number;
  connections: number;
  readonly unreadMax: number;
  unread: number;
  /** In µs. */
  readonly reading: TokenBucket;
  wider: Share | undefined;
  /** Sockets or narrower networks with something to read, first come first served. */
  readonly queue: (Share | Waiter)[];
  /** Whether it stands in the queue of the wider network. */
  isQueued: boolean;
  /** Whether an alarm is set for when it has time again. */
  hasAlarm: boolean;
}

/** A socket with something to read. */
export type Waiter = Pick<MeteredSocket, "next">;

/** A network of any width is read for twice the time of an address at most: sixteen times would be all that there is. */
const readingTimesMax = 2;

/** @param times how many times the budget of one address the network has. */
export function makeShare(limits: Limits, times: number): Share {
  return {
    connectionsMax: limits.connectionsPerAddressMax * times,
    connections: 0,
    unreadMax: limits.unreadMessagesMax * Math.min(times, readingTimesMax),
    unread: 0,
    reading: makeTokenBucket({
      calls: limits.readingMsPerSecondMax * 1_000 * Math.min(times, readingTimesMax),
      perMs: 1_000,
      burst: limits.readingBurstMsMax * 1_000,
    }),
    wider: undefined,
    queue: [],
    isQueued: false,
    hasAlarm: false,
  };
}

/** Gives the sockets of all networks their turns to be read, a slice each. */
export interface ReadingTurns {
  /** Whether a socket of the network may be read now; if not, it is to `wait`. */
  mayRead(narrowest: Share): boolean;
  wait(narrowest: Share, socket: Waiter): void;
  /** Takes back `wait`. */
  forget(narrowest: Share, socket: Waiter): void;
  /** Milliseconds until the network has time again, or is worth a look when it has too much unread; 0 when it may be read. */
  waitMs(narrowest: Share): number;
  /** Charges the network and all around it (µs). */
  spend(narrowest: Share, us: number): void;
  /** Counts messages that wait to be worked off, or have been. */
  unread(narrowest: Share, change: number): void;
}

/**
 * A network without time, or with too much unread, leaves the queue of the wider one until that has changed. So each
 * network has one alarm at most, however many sockets and narrower networks wait in it, and is in debt only for slices
 * that were passed on.
 */
export function makeReadingTurns(clock: Clock): ReadingTurns {
  let turnAtMs: number | undefined;
  /** The widest networks that are worked off in this turn of the event loop. */
  const running = new Set<Share>();

  return {
    mayRead: (narrowest) => narrowest.queue.length === 0 && around(narrowest).every((share) => !isBlocked(share)),
    wait(narrowest, socket) {
      narrowest.queue.push(socket);
      rejoin(narrowest);
    },
    forget(narrowest, socket) {
      const at = narrowest.queue.indexOf(socket);
      if (at >= 0) narrowest.queue.splice(at, 1);
    },
    waitMs: (narrowest) =>
      Math.max(...around(narrowest).map((share) => (isFull(share) ? overloadRetryMs : debtMs(share)))),
    spend(narrowest, us) {
      for (const { reading } of around(narrowest)) reading.spend(turnMs(), us);
    },
    unread(narrowest, change) {
      for (const share of around(narrowest)) {
        const wasFull = isFull(share);
        share.unread += change;
        // Not now: the transport is in the middle of a message.
        if (wasFull && !isFull(share)) setImmediate(rejoin, share);
      }
    },
  };

  /** Puts a network with something to read back into its queue; the widest one is worked off. */
  function rejoin(share: Share): void {
    for (let next: Share | undefined = share; next; next = next.wider) {
      if (next.queue.length === 0) return;
      if (isBlocked(next)) {
        sleep(next);
        return;
      }
      if (next.wider === undefined) {
        run(next);
        return;
      }
      if (!next.isQueued) next.wider.queue.push(next);
      next.isQueued = true;
    }
  }

  /** Too much unread ends without an alarm: with the message that makes it less. */
  function sleep(share: Share): void {
    const ms = debtMs(share);
    if (ms === 0 || share.hasAlarm) return;
    share.hasAlarm = true;
    clock.after(ms, () => {
      share.hasAlarm = false;
      rejoin(share);
    });
  }

  function run(widest: Share): void {
    if (running.has(widest)) return;
    running.add(widest);
    try {
      while (!isBlocked(widest) && passNext(widest));
    } finally {
      running.delete(widest);
    }
    if (widest.queue.length > 0) sleep(widest);
  }

  /** Passes on one slice of whichever is next. @returns whether any socket was left to ask. */
  function passNext(share: Share): boolean {
    for (let next = share.queue.shift(); next; next = share.queue.shift()) {
      if ("next" in next) {
        if (next.next()) share.queue.push(next);
        return true;
      }
      next.isQueued = false;
      const isRead = !isBlocked(next) && passNext(next);
      if (next.queue.length > 0 && isBlocked(next)) sleep(next);
      else if (next.queue.length > 0 && !next.isQueued) {
        next.isQueued = true;
        share.queue.push(next);
      }
      if (isRead) return true;
    }
    return false;
  }

  function isBlocked(share: Share): boolean {
    return isFull(share) || debtMs(share) > 0;
  }

  function debtMs({ reading }: Share): number {
    return reading.waitMs(turnMs());
  }

  /**
   * The time at which this turn of the event loop was first asked. Time that passes while a flood is worked off brings
   * nothing: on a busy machine a flood would earn as much as it spends, in one turn without end.
   */
  function turnMs(): number {
    if (turnAtMs === undefined) {
      turnAtMs = clock.monotonicMs();
      setImmediate(() => {
        turnAtMs = undefined;
      });
    }
    return turnAtMs;
  }
}

/** The network and all that it is in. */
function around(narrowest: Share): readonly Share[] {
  const all = [];
  for (let share: Share | undefined = narrowest; share; share = share.wider) all.push(share);
  return all;
}

/** Whether there is too much unread to read on. */
function isFull({ unread, unreadMax }: Share): boolean {
  return unread >= unreadMax;
}
