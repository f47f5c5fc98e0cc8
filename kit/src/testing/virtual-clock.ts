import type { Clock } from "../base/clock.ts";

/** A clock that stands still until it is run; nothing waits for real. */
export interface VirtualClock extends Clock {
  /**
   * Moves time from one due event to the next until `work` is settled, and returns what it resolved to. Among several at once
   * time moves only when none of them can go on without it.
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

/** Work that time moves for. */
interface Run {
  isSettled: boolean;
  /** `work` is settled, and nothing else is due now. */
  finish(): void;
  fail(reason: Error): void;
}

/** Event-loop turns without news after which the processes on the clock count as quiet. */
const quietTurns = 16;

/** Resolves after so many turns in which `news` has stayed the same. */
async function untilQuiet(news: () => number): Promise<void> {
  let seen = news();
  for (let quiet = 0; quiet < quietTurns; quiet += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    if (news() === seen) continue;
    seen = news();
    quiet = 0;
  }
}

/** A clock whose wall time stands at `startMs`, in milliseconds since the epoch. */
export function makeVirtualClock(startMs = 1_700_000_000_000): VirtualClock {
  let nowMs = 0;
  let order = 0;
  const queue = new Set<Due>();
  const runs = new Set<Run>();
  let isDriving = false;

  const clock: VirtualClock = {
    now: () => startMs + nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      const due: Due = { atMs: nowMs + Math.max(0, delayMs), order: order++, run };
      queue.add(due);
      return () => queue.delete(due);
    },
    run<T>(work: PromiseLike<T>) {
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      const outcome = Promise.resolve(work);
      const run: Run = { isSettled: false, finish: () => resolve(outcome), fail: reject };
      const settled = () => {
        run.isSettled = true;
      };
      outcome.then(settled, settled);
      runs.add(run);
      if (!isDriving) void drive();
      return promise;
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      await clock.settle();
      while (step(untilMs)) await clock.settle();
      nowMs = untilMs;
    },
    settle: () => untilQuiet(() => order),
  };
  return clock;

  /** One for all that is run at once. */
  async function drive(): Promise<void> {
    isDriving = true;
    for (;;) {
      await clock.settle();
      for (const run of runs) {
        if (run.isSettled && runs.delete(run)) run.finish();
      }
      if (runs.size === 0) break;
      if (step(Number.POSITIVE_INFINITY)) continue;
      for (const run of runs) run.fail(new Error("Nothing is left to happen, and the work is not done"));
      runs.clear();
    }
    isDriving = false;
  }

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
