import type { Clock } from "../base/clock.ts";

/** A clock that stands still until it is run; nothing waits for real. */
export interface VirtualClock extends Clock {
  /**
   * Moves time from one due event to the next until `work` is settled, and returns what it resolved to.
   * @throws Error when nothing is left to happen and `work` is still pending.
   */
  run<T>(work: PromiseLike<T>): Promise<T>;
  /** Lets `ms` pass, with everything that is due in it. */
  advance(ms: number): Promise<void>;
  /** Lets everything happen that is due now, without moving time. */
  settle(): Promise<void>;
}

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Event-loop turns without news after which the processes on the clock count as quiet. */
const quietTurns = 16;

/** A clock whose wall time stands at `startMs`, in milliseconds since the epoch. */
export function makeVirtualClock(startMs = 1_700_000_000_000): VirtualClock {
  let nowMs = 0;
  let order = 0;
  const queue = new Set<Due>();

  const clock: VirtualClock = {
    now: () => startMs + nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      const due: Due = { atMs: nowMs + Math.max(0, delayMs), order: order++, run };
      queue.add(due);
      return () => queue.delete(due);
    },
    async run(work) {
      let isSettled = false;
      const outcome = Promise.resolve(work).finally(() => {
        isSettled = true;
      });
      outcome.catch(() => {});
      for (;;) {
        await clock.settle();
        if (isSettled) return outcome;
        if (!step(Number.POSITIVE_INFINITY)) throw new Error("Nothing is left to happen, and the work is not done");
      }
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      await clock.settle();
      while (step(untilMs)) await clock.settle();
      nowMs = untilMs;
    },
    async settle() {
      let seen = order;
      for (let quiet = 0; quiet < quietTurns; quiet += 1) {
        await new Promise((resolve) => setImmediate(resolve));
        if (order !== seen) {
          seen = order;
          quiet = 0;
        }
      }
    },
  };
  return clock;

  /** Runs the earliest event that is due by `untilMs`, and all others of the same instant in their order. */
  function step(untilMs: number): boolean {
    const next = [...queue].sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
    if (!next || next.atMs > untilMs) return false;
    nowMs = next.atMs;
    for (const due of [...queue].filter(({ atMs }) => atMs === nowMs).sort((a, b) => a.order - b.order)) {
      if (queue.delete(due)) due.run();
    }
    return true;
  }
}
