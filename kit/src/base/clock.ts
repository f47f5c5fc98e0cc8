/** Time as a parameter: production passes `systemClock`, tests a virtual one. */
export interface Clock {
  /** Wall time in milliseconds since the epoch: for expiries that outlive the process. It may jump. */
  now(): number;
  /** Milliseconds that only ever grow: for deadlines and time-outs. */
  monotonicMs(): number;
  /** Runs `run` once after `delayMs`. Cancelling twice, or after it ran, does nothing. Never keeps a process alive. */
  after(delayMs: number, run: () => void): Cancel;
}

/** Takes back what was set to run. Idempotent. */
export type Cancel = () => void;

/** setTimeout takes 32 bits; a longer delay would fire at once. */
const delayMsMax = 2 ** 31 - 1;

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(Math.max(delayMs, 0), delayMsMax));
    // A browser's is a number.
    if (typeof timer === "object") timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`. Keeps the process alive until then, for who has more to do: whoever awaits it counts on that. */
export async function pause(clock: Clock, delayMs: number): Promise<void> {
  const held = setInterval(() => {}, delayMsMax);
  await new Promise<void>((resolve) => void clock.after(delayMs, resolve));
  clearInterval(held);
}
