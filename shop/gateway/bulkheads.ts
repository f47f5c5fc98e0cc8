import { type Bulkhead, type BulkheadOptions, type Clock, FlotillaError, makeBulkhead } from "@flotilla/kit";
import { type Destination, destinationNames } from "./destinations.ts";

/**
 * Calls that go to one service at once. At the most that one instance answers, 12,000 a second, so many are there for
 * 20 ms; and it is a quarter of what one address may have running, so that it keeps room for what goes elsewhere.
 */
const runningMax = 256;
/** Calls that wait for one of those places, and for how long: about as long as it takes to get one. Milliseconds. */
const waitingMax = 256;
const waitMsMax = 50;
/** Milliseconds. */
const retryAfterMs = 500;

/** A bulkhead for each destination. */
export interface Bulkheads {
  /**
   * Runs `call` when there is a place.
   * @throws FlotillaError `resource_exhausted`, reason `destination_busy`, when there is none in time; what `call` throws.
   */
  run<R>(to: Destination, call: () => PromiseLike<R>): PromiseLike<R>;
  report(to: Destination): { readonly underWay: number; readonly waiting: number; readonly refused: number };
}

type BulkheadLimits = Pick<BulkheadOptions, "runningMax" | "waitingMax" | "waitMsMax">;

const limitsDefault: BulkheadLimits = { runningMax, waitingMax, waitMsMax };

export function makeBulkheads(clock: Clock, limits: BulkheadLimits = limitsDefault): Bulkheads {
  const each = destinationNames.map(
    (name) => [name, makeBulkhead({ ...limits, clock, refusal: () => busy(name) })] as const,
  );
  const bulkheads = Object.fromEntries(each) as Record<Destination, Bulkhead>;
  return {
    run: (to, call) => bulkheads[to].run(call),
    report: (to) => bulkheads[to].report(),
  };
}

/** @param to for the words of the refusal. */
function busy(to: Destination): FlotillaError {
  const detail = { reason: "destination_busy", retryAfterMs };
  return new FlotillaError("resource_exhausted", `Too many calls wait for ${to}; try again later`, detail);
}
