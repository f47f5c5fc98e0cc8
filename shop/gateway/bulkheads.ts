import { type Cancel, type Clock, FlotillaError } from "@flotilla/kit";
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

/** A bulkhead for each destination (Nygard, "Release It!"): one that sinks does not take the others with it. */
export interface Bulkheads {
  /**
   * Runs `call` when there is a place.
   * @throws FlotillaError `resource_exhausted`, reason `destination_busy`, when there is none in time; what `call` throws.
   */
  run<R>(to: Destination, call: () => PromiseLike<R>): PromiseLike<R>;
  report(to: Destination): { readonly underWay: number; readonly waiting: number; readonly refused: number };
}

export interface BulkheadLimits {
  readonly runningMax: number;
  readonly waitingMax: number;
  readonly waitMsMax: number;
}

const limitsDefault: BulkheadLimits = { runningMax, waitingMax, waitMsMax };

export function makeBulkheads(clock: Clock, limits: BulkheadLimits = limitsDefault): Bulkheads {
  const each = destinationNames.map((name) => [name, makeBulkhead(name, clock, limits)] as const);
  const bulkheads = Object.fromEntries(each) as Record<Destination, Bulkhead>;
  return {
    run: (to, call) => bulkheads[to].run(call),
    report: (to) => bulkheads[to].report(),
  };
}

interface Waiting {
  begin(): void;
  readonly cancel: Cancel;
}

type Bulkhead = ReturnType<typeof makeBulkhead>;

function makeBulkhead(name: Destination, clock: Clock, { runningMax, waitingMax, waitMsMax }: BulkheadLimits) {
  const waiting = new Set<Waiting>();
  let underWay = 0;
  let refused = 0;

  return {
    run<R>(call: () => PromiseLike<R>): PromiseLike<R> {
      if (underWay >= runningMax) return place().then(() => inPlace(call));
      underWay += 1;
      return inPlace(call);
    },
    report: () => ({ underWay, waiting: waiting.size, refused }),
  };

  function inPlace<R>(call: () => PromiseLike<R>): PromiseLike<R> {
    let answer: PromiseLike<R>;
    try {
      answer = call();
    } catch (error) {
      leave();
      return Promise.reject(error as Error);
    }
    answer.then(leave, leave);
    return answer;
  }

  function place(): Promise<void> {
    if (waiting.size >= waitingMax) return Promise.reject(busy());
    return new Promise((resolve, reject) => {
      const cancel = clock.after(waitMsMax, () => {
        waiting.delete(mine);
        reject(busy());
      });
      const mine: Waiting = { begin: resolve, cancel };
      waiting.add(mine);
    });
  }

  /** Whoever waits longest takes the place over. */
  function leave(): void {
    const [next] = waiting;
    if (!next) {
      underWay -= 1;
      return;
    }
    waiting.delete(next);
    next.cancel();
    next.begin();
  }

  function busy(): FlotillaError {
    refused += 1;
    const detail = { reason: "destination_busy", retryAfterMs };
    return new FlotillaError("resource_exhausted", `Too many calls wait for ${name}; try again later`, detail);
  }
}
