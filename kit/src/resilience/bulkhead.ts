import type { Cancel, Clock } from "../base/clock.ts";

/** Options of `makeBulkhead`. */
export interface BulkheadOptions {
  /** Runs at once. */
  readonly runningMax: number;
  /** Waits for a place. */
  readonly waitingMax: number;
  /** How long one waits for a place at most. Milliseconds; infinite for as long as it takes. */
  readonly waitMsMax: number;
  /** Makes the error of work that gets no place in time. */
  readonly refusal: () => Error;
  readonly clock: Clock;
}

/** Runs so much work at once and no more, first come, first served (Nygard, "Release It!"): a destination that hangs keeps nobody from another. */
export interface Bulkhead {
  /**
   * Runs `work` when there is a place; when one is free, at once.
   *
   * @returns what `work` returns. Rejects with the refusal when there is no place in time, and with what `work` throws.
   */
  run<R>(work: () => PromiseLike<R>): PromiseLike<R>;
  report(): { readonly underWay: number; readonly waiting: number; readonly refused: number };
}

interface Waiting {
  begin(): void;
  readonly cancel: Cancel;
}

/** A bulkhead of its own: what runs elsewhere takes no place here. */
export function makeBulkhead({ runningMax, waitingMax, waitMsMax, refusal, clock }: BulkheadOptions): Bulkhead {
  const waiting = new Set<Waiting>();
  let underWay = 0;
  let refused = 0;

  return {
    run<R>(work: () => PromiseLike<R>): PromiseLike<R> {
      if (underWay >= runningMax) return place().then(() => inPlace(work));
      underWay += 1;
      return inPlace(work);
    },
    report: () => ({ underWay, waiting: waiting.size, refused }),
  };

  function inPlace<R>(work: () => PromiseLike<R>): PromiseLike<R> {
    let answer: PromiseLike<R>;
    try {
      answer = work();
    } catch (error) {
      leave();
      return Promise.reject(error as Error);
    }
    answer.then(leave, leave);
    return answer;
  }

  function place(): Promise<void> {
    if (waiting.size >= waitingMax) return Promise.reject(refuse());
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        waiting.delete(mine);
        reject(refuse());
      };
      const cancel = Number.isFinite(waitMsMax) ? clock.after(waitMsMax, giveUp) : () => {};
      const mine: Waiting = { begin: resolve, cancel };
      waiting.add(mine);
    });
  }

  /** The work that waits longest takes the place over. */
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

  function refuse(): Error {
    refused += 1;
    return refusal();
  }
}
