import type { IncomingMessage } from "node:http";
import type { Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import type { Limits } from "../base/limits.ts";
import type { Load } from "../resilience/load.ts";
import { makePaces, type Pace } from "../resilience/pace.ts";
import { makeTokenBucket, type TokenBucket } from "../resilience/token-bucket.ts";
import { makeTurns, type SessionTurns, type Turns } from "../resilience/turns.ts";
import { makeNetworkTable, networkOf } from "./networks.ts";
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
  /** Shared by all sessions and batches of the widest network that contains the address. */
  readonly pace: Pace | undefined;
  /** Gives the place back, and drops what waits for a turn. Idempotent. */
  leave(): void;
}

interface Sessions {
  readonly countMax: number;
  count: number;
  readonly begun: TokenBucket;
  /** The narrowest network's. */
  turns?: Turns;
  /** The widest network's. */
  pace?: Pace | undefined;
}

export interface AddressBudgetOptions {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly addressOf: AddressOf;
  /** Of the process; without it nothing is refused for having waited. */
  readonly load?: Load | undefined;
}

export function makeAddressBudget({ limits, clock, addressOf, load }: AddressBudgetOptions): AddressBudget {
  const paces = makePaces(limits.messagesPerTurnMax, clock);
  const table = makeNetworkTable<Sessions>({
    clock,
    limits,
    make: (times) => ({
      countMax: limits.sessionsPerAddressMax * times,
      count: 0,
      begun: makeTokenBucket({
        calls: limits.sessionsPerSecondMax * times,
        perMs: 1_000,
        burst: limits.sessionsBurstMax * times,
      }),
    }),
    // SECURITY: what still runs for an address counts though all its sessions are gone; it would begin anew by leaving.
    isIdle: ({ count, turns }) => count === 0 && turns?.isIdle() !== false,
  });

  return {
    enter(request) {
      const address = addressOf(request);
      const nowMs = clock.monotonicMs();
      const networks = table.of(address);
      if (networks.some(({ count, countMax }) => count >= countMax))
        throw refused("Too many sessions", "session_limit");
      const waitMs = Math.max(...networks.map(({ begun }) => begun.waitMs(nowMs)));
      if (waitMs > 0) throw refused("Too many new sessions", "session_rate", waitMs);
      for (const network of networks) {
        network.begun.take(nowMs);
        network.count += 1;
      }
      // The widest network's pace: the owner of a /48 would otherwise have 65,536 addresses that take turns.
      const widest = networks.at(-1)!;
      widest.pace ??= paces?.join();
      const { pace } = widest;
      networks[0].turns ??= makeTurns(limits, clock, load);
      const turns = networks[0].turns.join(pace?.unread);
      let isIn = true;
      const leave = () => {
        if (!isIn) return;
        isIn = false;
        for (const network of networks) network.count -= 1;
      };
      return { network: networkOf(address), turns, pace, leave };
    },
    get size() {
      return table.size;
    },
  };
}

function refused(what: string, reason: string, retryAfterMs?: number): FlotillaError {
  return new FlotillaError("resource_exhausted", `${what} from this address`, { reason, retryAfterMs });
}
