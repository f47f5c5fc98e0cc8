import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Cancel, Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { intakeCosts, type Limits } from "../base/limits.ts";
import { makeTokenBucket, type TokenBucket } from "../base/token-bucket.ts";
import { type MeteredSocket, meterSocket } from "./metered-socket.ts";
import { makeNetworkTable } from "./networks.ts";
import type { Proxies } from "./proxies.ts";

/** Charges everything that arrives on one connection to its network address. */
export interface Intake {
  /**
   * Counts a request before it is looked at.
   * @returns false when the connection is cut, and the request is not to be answered.
   * @throws FlotillaError `resource_exhausted`, reason `request_rate`: its client, behind a trusted proxy, is over budget.
   */
  begin(request: IncomingMessage, response?: ServerResponse): boolean;
  /** Charges work (µs). */
  spend(us: number): void;
  /** Charges so many lines, each a message or a context. */
  lines(count: number): void;
  /** Counts a session's messages that wait to be read. */
  unread(change: number): void;
  /** The connection became a session. A link's is not metered any more; behind a proxy an edge session's is from now on. */
  becomeSession(of: "edge" | "link"): void;
}

/** The connections of one server. */
export interface Intakes {
  /** Meters a connection that was just accepted, or cuts it when its address has too many. */
  accept(socket: Socket): void;
  of(socket: Duplex): Intake;
  /** Networks that are remembered; for counting. */
  readonly size: number;
}

export interface IntakesOptions {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly proxies: Proxies;
  /** Hears of connections that are cut. */
  readonly onRefused?: ((reason: FlotillaError) => void) | undefined;
}

/** One network's share of the server's time. */
interface Level {
  readonly connectionsMax: number;
  connections: number;
  readonly unreadMax: number;
  unread: number;
  /** In µs. */
  readonly reading: TokenBucket;
  /** Connections with something to read, first come first served; kept at the narrowest network only. */
  readonly waiting: MeteredSocket[];
  cancelAlarm?: Cancel | undefined;
}

/** How the body of the connection's latest request is sent. */
interface Arriving {
  isInChunks: boolean;
}

interface Accepted {
  readonly levels: Levels;
  readonly metered: MeteredSocket | undefined;
  readonly arriving: Arriving;
  readonly isProxied: boolean;
}

/** The narrowest network first. */
type Levels = readonly Level[];

/** A network of any width is read for twice the time of an address at most: sixteen times would be all that there is. */
const readingTimesMax = 2;

/** After which an address is looked at again whose neighbours in a wider network have too much unread (ms). */
const unreadRetryMs = 5;

const tooManyConnections = new FlotillaError("resource_exhausted", "Too many connections from this address", {
  reason: "connection_limit",
});
const tooFarAhead = new FlotillaError("resource_exhausted", "Too many requests ahead of their answers", {
  reason: "protocol_limit",
  retryable: false,
});

/**
 * SECURITY: bounds what the connections of one network address cost before anything is known of them: a share of the
 * process's time in which they are read, and so many messages that wait to be worked off, because to run a call takes
 * longer than to read it. A connection beyond them waits unread, and so does its sender.
 *
 * Connections over a Unix socket are not metered, because only this process's own user can open one. Those of a trusted
 * proxy carry everybody's requests: each request is charged to the client that the proxy names, and refused beyond its
 * budget, but the connection is read on.
 */
export function makeIntakes({ limits, clock, proxies, onRefused }: IntakesOptions): Intakes {
  const intakes = new WeakMap<Duplex, Intake>();
  let turnAtMs: number | undefined;
  const table = makeNetworkTable<Level>({
    clock,
    limits,
    make: (times) => ({
      connectionsMax: limits.connectionsPerAddressMax * times,
      connections: 0,
      unreadMax: limits.unreadMessagesMax * Math.min(times, readingTimesMax),
      unread: 0,
      reading: makeTokenBucket({
        calls: limits.readingMsPerSecondMax * 1_000 * Math.min(times, readingTimesMax),
        perMs: 1_000,
        burst: limits.readingBurstMsMax * 1_000,
      }),
      waiting: [],
    }),
    isIdle: ({ connections, reading }) => connections === 0 && reading.waitMs(turnMs()) === 0,
  });

  return {
    accept(socket) {
      const address = socket.remoteAddress;
      const isShared = address === undefined || proxies.isProxy(address);
      const levels = isShared ? [] : table.of(address);
      if (levels.some(({ connections, connectionsMax }) => connections >= connectionsMax)) {
        onRefused?.(tooManyConnections);
        socket.destroy();
        return;
      }
      enter(socket, levels);
      spend(levels, intakeCosts.connection);
      const arriving: Arriving = { isInChunks: false };
      const metered = levels.length > 0 ? meter(socket, levels, arriving) : undefined;
      const isProxied = isShared && address !== undefined;
      intakes.set(socket, makeIntake(socket, { levels, metered, arriving, isProxied }));
    },
    of: (socket) => intakes.get(socket)!,
    get size() {
      return table.size;
    },
  };

  function makeIntake(socket: Socket, { levels, metered, arriving, isProxied }: Accepted): Intake {
    let charged = levels;
    let unanswered = 0;
    return {
      begin(request, response) {
        if (socket.destroyed) {
          spend(charged, intakeCosts.request);
          return false;
        }
        if (unanswered >= limits.pipelinedRequestsMax) {
          onRefused?.(tooFarAhead);
          socket.destroy();
          return false;
        }
        if (isProxied) charged = table.of(proxies.addressOf(request));
        const retryAfterMs = isProxied ? waitMs(charged) : 0;
        if (retryAfterMs > 0) {
          throw new FlotillaError("resource_exhausted", "Too many requests from this address", {
            reason: "request_rate",
            retryAfterMs,
          });
        }
        spend(charged, intakeCosts.request);
        arriving.isInChunks = request.headers["transfer-encoding"] !== undefined;
        unanswered += 1;
        response?.once("close", () => {
          unanswered -= 1;
        });
        return true;
      },
      spend: (us) => spend(charged, us),
      lines: (count) => spend(charged, count * intakeCosts.line),
      unread(change) {
        const wasFull = isFull(charged);
        for (const level of charged) level.unread += change;
        // Not now: the transport is in the middle of a message.
        if (wasFull && !isFull(charged)) setImmediate(readWaiting, charged);
      },
      becomeSession(of) {
        if (of === "link") {
          metered?.open();
          charged = [];
        } else if (isProxied) {
          enter(socket, charged);
          meter(socket, charged, arriving);
        }
      },
    };
  }

  function enter(socket: Socket, levels: Levels): void {
    for (const level of levels) level.connections += 1;
    socket.once("close", () => {
      for (const level of levels) level.connections -= 1;
    });
  }

  function meter(socket: Socket, levels: Levels, arriving: Arriving): MeteredSocket {
    const narrowest = levels[0]!;
    const metered = meterSocket(socket, {
      mayPass() {
        if (narrowest.waiting.includes(metered)) return false;
        if (narrowest.waiting.length === 0 && waitMs(levels) === 0) return true;
        narrowest.waiting.push(metered);
        readLater(levels);
        return false;
      },
      passes: (bytes) => spend(levels, bytes * (arriving.isInChunks ? intakeCosts.chunkedByte : intakeCosts.byte)),
    });
    return metered;
  }

  function readLater(levels: Levels): void {
    const narrowest = levels[0]!;
    narrowest.cancelAlarm ??= clock.after(waitMs(levels), () => {
      narrowest.cancelAlarm = undefined;
      readWaiting(levels);
    });
  }

  /** One slice of each connection that waits, again and again, for as long as the budget allows. */
  function readWaiting(levels: Levels): void {
    const waiting = levels[0]?.waiting ?? [];
    while (waiting.length > 0) {
      if (waitMs(levels) > 0) {
        readLater(levels);
        return;
      }
      const next = waiting.shift()!;
      if (next.next()) waiting.push(next);
    }
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

  function waitMs(levels: Levels): number {
    const nowMs = turnMs();
    const backlogMs = isFull(levels) ? unreadRetryMs : 0;
    return levels.reduce((ms, { reading }) => Math.max(ms, reading.waitMs(nowMs)), backlogMs);
  }

  function spend(levels: Levels, us: number): void {
    if (levels.length === 0) return;
    const nowMs = turnMs();
    for (const { reading } of levels) reading.spend(nowMs, us);
  }
}

/** Whether there is too much unread to read on. */
function isFull(levels: Levels): boolean {
  return levels.some(({ unread, unreadMax }) => unread >= unreadMax);
}
