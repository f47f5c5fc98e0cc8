import type { IncomingMessage } from "node:http";
import type { Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import type { Limits } from "../base/limits.ts";
import type { Load } from "../base/load.ts";
import { makeTokenBucket, type TokenBucket } from "../base/token-bucket.ts";
import { makeTurns, type SessionTurns, type Turns } from "../base/turns.ts";
import { makePaces, type Pace } from "../transport/pace.ts";
import type { AddressOf } from "./proxies.ts";

/** Counts what each network address has under way. */
export interface AddressBudget {
  /**
   * Takes a place for `request`.
   * @throws FlotillaError `resource_exhausted`, reason `session_limit`, or `session_rate` with `retryAfterMs`.
   */
  enter(request: IncomingMessage): Place;
  /** Addresses that are remembered; for counting. */
  readonly size: number;
}

export interface Place {
  /** As `networkOf` names it. */
  readonly network: string;
  /** Shared fairly with the other sessions of the address. */
  readonly turns: SessionTurns;
  /** Of all sessions and batches of the address together. */
  readonly pace: Pace | undefined;
  /** Gives the place back, and drops what waits for a turn. Idempotent. */
  leave(): void;
}

interface Address {
  count: number;
  enteredAtMs: number;
  readonly begun: TokenBucket;
  readonly turns: Turns;
  readonly pace: Pace | undefined;
}

/** An address that has nothing under way is remembered until its rate has long recovered. Milliseconds. */
const forgetMs = 10_000;

export interface AddressBudgetOptions {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly addressOf: AddressOf;
  /** Of the process; without it nothing is refused for having waited. */
  readonly load?: Load | undefined;
}

export function makeAddressBudget({ limits, clock, addressOf, load }: AddressBudgetOptions): AddressBudget {
  const addresses = new Map<string, Address>();
  const paces = makePaces(limits.messagesPerTurnMax, clock);
  let sweptAtMs = clock.monotonicMs();

  return {
    enter(request) {
      const network = networkOf(addressOf(request));
      const address = entryOf(network);
      if (address.count >= limits.sessionsPerAddressMax) throw refused("Too many sessions", "session_limit");
      const waitMs = address.begun.waitMs(clock.monotonicMs());
      if (waitMs > 0) throw refused("Too many new sessions", "session_rate", waitMs);
      address.begun.take(clock.monotonicMs());
      address.count += 1;
      const turns = address.turns.join();
      let isIn = true;
      const leave = () => {
        if (!isIn) return;
        isIn = false;
        address.count -= 1;
        turns.end();
      };
      return { network, turns, pace: address.pace, leave };
    },
    get size() {
      return addresses.size;
    },
  };

  function entryOf(network: string): Address {
    const nowMs = clock.monotonicMs();
    if (nowMs - sweptAtMs >= forgetMs) forgetIdle(nowMs);
    const address = addresses.get(network) ?? newEntry(nowMs);
    address.enteredAtMs = nowMs;
    addresses.set(network, address);
    return address;
  }

  function newEntry(nowMs: number): Address {
    const pace = paces?.join();
    return {
      count: 0,
      enteredAtMs: nowMs,
      begun: makeTokenBucket({ calls: limits.sessionsPerSecondMax, perMs: 1_000, burst: limits.sessionsBurstMax }),
      turns: makeTurns(limits, clock, load && { load, unread: pace?.unread }),
      pace,
    };
  }

  /** SECURITY: what still runs for an address counts though all its sessions are gone; it would begin anew by leaving. */
  function forgetIdle(nowMs: number): void {
    sweptAtMs = nowMs;
    for (const [network, { count, enteredAtMs, turns }] of addresses) {
      if (count === 0 && turns.isIdle() && nowMs - enteredAtMs >= forgetMs) addresses.delete(network);
    }
  }
}

function refused(what: string, reason: string, retryAfterMs?: number): FlotillaError {
  return new FlotillaError("resource_exhausted", `${what} from this address`, { reason, retryAfterMs });
}

/** One subscriber: an IPv4 address, or the /64 that a subscriber of IPv6 has whole. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1]) return mapped[1];
  if (!address.includes(":")) return address;
  const [head = "", tail] = (address.split("%", 1)[0] ?? "").toLowerCase().split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => "0");
  return `${[...front, ...zeros, ...back].slice(0, 4).join(":")}::/64`;
}
