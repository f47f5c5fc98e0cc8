import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { intakeCosts, type Limits } from "../base/limits.ts";
import { type MeteredSocket, meterSocket } from "./metered-socket.ts";
import { makeNetworkTable } from "./networks.ts";
import type { Proxies } from "./proxies.ts";
import { makeReadingTurns, makeShare, type Share } from "./reading-turns.ts";

/** Charges one request, and the session that it may become, to its network address. */
export interface Intake {
  /** Charges work (µs). */
  spend(us: number): void;
  /** Charges so many lines, each a message or a context. */
  lines(count: number): void;
  /** Counts messages that wait to be read. */
  unread(change: number): void;
  /** The connection became a session. A link's is not metered any more; behind a proxy an edge session's is from now on. */
  becomeSession(of: "edge" | "link"): void;
}

/** The connections of one server. */
export interface Intakes {
  /** Meters a connection that was just accepted, or cuts it when its address has too many. */
  accept(socket: Socket): void;
  /**
   * Counts a request before it is looked at.
   * @returns undefined when its connection is cut, and it is not to be answered.
   * @throws FlotillaError `resource_exhausted`, reason `request_rate`: its client, behind a trusted proxy, is over budget.
   */
  begin(socket: Duplex, request: IncomingMessage, response?: ServerResponse): Intake | undefined;
}

export interface IntakesOptions {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly proxies: Proxies;
  /** Hears of connections that are cut. */
  readonly onRefused?: ((reason: FlotillaError) => void) | undefined;
}

/** One TCP connection. */
interface Incoming {
  readonly socket: Socket;
  /** Undefined for a Unix socket and for a proxy's connection. */
  readonly share: Share | undefined;
  readonly isProxied: boolean;
  readonly unanswered: Set<ServerResponse>;
  metered: MeteredSocket | undefined;
  /** Length of the slice that is being parsed. */
  sliceBytes: number;
  /** Whether the body of the latest request comes in chunks. */
  isInChunks: boolean;
}

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
  const connections = new WeakMap<Duplex, Incoming>();
  const turns = makeReadingTurns(clock);
  const table = makeNetworkTable<Share>({
    clock,
    limits,
    make: (times) => makeShare(limits, times),
    isIdle: (share) => share.connections === 0 && share.unread === 0 && turns.waitMs(share) === 0,
  });

  return {
    accept(socket) {
      const address = socket.remoteAddress;
      const isProxied = address !== undefined && proxies.isProxy(address);
      const share = address === undefined || isProxied ? undefined : shareOf(address);
      if (share && isCrowded(share)) {
        onRefused?.(tooManyConnections);
        socket.destroy();
        return;
      }
      const made = { metered: undefined, sliceBytes: 0, isInChunks: false };
      const incoming: Incoming = { socket, share, isProxied, unanswered: new Set(), ...made };
      connections.set(socket, incoming);
      socket.once("close", () => endUnanswered(incoming));
      if (!share) return;
      enter(socket, share);
      turns.spend(share, intakeCosts.connection);
      meter(incoming, share);
    },
    begin(socket, request, response) {
      const incoming = connections.get(socket)!;
      const { unanswered, isProxied } = incoming;
      const share = isProxied ? shareOf(proxies.addressOf(request)) : incoming.share;
      const spend = (us: number) => share && turns.spend(share, us);
      if (!mayBegin(incoming, isProxied ? share : undefined)) {
        spend(intakeCosts.request);
        return undefined;
      }
      incoming.isInChunks = request.headers["transfer-encoding"] !== undefined;
      // The slice in which the head has come was charged before anybody knew.
      const chunksUs = incoming.isInChunks ? incoming.sliceBytes * (intakeCosts.chunkedByte - intakeCosts.byte) : 0;
      spend(intakeCosts.request + chunksUs);
      if (response) unanswered.add(response);
      response?.once("close", () => unanswered.delete(response));
      return makeIntake(incoming, share);
    },
  };

  function mayBegin({ socket, unanswered }: Incoming, client: Share | undefined): boolean {
    if (socket.destroyed) return false;
    if (unanswered.size >= limits.pipelinedRequestsMax) {
      onRefused?.(tooFarAhead);
      socket.destroy();
      return false;
    }
    const retryAfterMs = client ? turns.waitMs(client) : 0;
    if (retryAfterMs === 0) return true;
    throw new FlotillaError("resource_exhausted", "Too many requests from this address", {
      reason: "request_rate",
      retryAfterMs,
    });
  }

  function makeIntake(incoming: Incoming, share: Share | undefined): Intake {
    let charged = share;
    const spend = (us: number) => charged && turns.spend(charged, us);
    return {
      spend,
      lines: (count) => spend(count * intakeCosts.line),
      unread: (change) => charged && turns.unread(charged, change),
      becomeSession(of) {
        if (of === "link") {
          incoming.metered?.open();
          charged = undefined;
        } else if (incoming.isProxied && charged) {
          enter(incoming.socket, charged);
          meter(incoming, charged);
        }
      },
    };
  }

  function shareOf(address: string): Share {
    const shares = table.of(address);
    for (const [index, share] of shares.entries()) share.wider = shares[index + 1];
    return shares[0];
  }

  function meter(incoming: Incoming, share: Share): void {
    const { socket } = incoming;
    let isWaiting = false;
    const metered = meterSocket(socket, {
      mayPass() {
        if (isWaiting) return false;
        if (turns.mayRead(share)) return true;
        isWaiting = true;
        // It may have its turn already when this returns.
        turns.wait(share, waiter);
        return false;
      },
      passes(bytes) {
        incoming.sliceBytes = bytes;
        const byteUs = incoming.isInChunks ? intakeCosts.chunkedByte : intakeCosts.byte;
        turns.spend(share, intakeCosts.slice + bytes * byteUs);
      },
    });
    const waiter = {
      next() {
        isWaiting = false;
        const hasMore = metered.next();
        // Unless it waits again already.
        const waitsAgain = hasMore && !isWaiting;
        isWaiting ||= hasMore;
        return waitsAgain;
      },
    };
    incoming.metered = metered;
    socket.once("close", () => turns.forget(share, waiter));
  }
}

function isCrowded(narrowest: Share): boolean {
  for (let share: Share | undefined = narrowest; share; share = share.wider) {
    if (share.connections >= share.connectionsMax) return true;
  }
  return false;
}

function enter(socket: Socket, narrowest: Share): void {
  const count = (change: number) => {
    for (let share: Share | undefined = narrowest; share; share = share.wider) share.connections += change;
  };
  count(1);
  socket.once("close", () => count(-1));
}

/** Until Node 24 only the first of the answers that a lost connection still waits for says that it is closed. */
function endUnanswered({ unanswered }: Incoming): void {
  for (const response of [...unanswered]) if (!response.closed) response.emit("close");
}
