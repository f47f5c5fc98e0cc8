/** How late the event loop of this process is: how long whatever comes has to wait before anything is done about it. */
export interface LoopLag {
  /** The worst of the last second or two. Milliseconds. */
  ms(): number;
  stop(): void;
}

/** Milliseconds. */
const tickMs = 100;
const windowMs = 1_000;

/** By the real time and not a `Clock`: it is about this process. Does not keep it alive. */
export function watchLoopLag(): LoopLag {
  let tickedAtMs = performance.now();
  let windowEndsAtMs = tickedAtMs + windowMs;
  let worst = 0;
  let worstBefore = 0;
  const lateMs = (nowMs: number) => Math.max(0, nowMs - tickedAtMs - tickMs);
  const timer = setInterval(() => {
    const nowMs = performance.now();
    if (nowMs >= windowEndsAtMs) {
      worstBefore = worst;
      worst = 0;
      windowEndsAtMs = nowMs + windowMs;
    }
    worst = Math.max(worst, lateMs(nowMs));
    tickedAtMs = nowMs;
  }, tickMs);
  timer.unref();
  return {
    // What is late already, and has not been noted yet, counts.
    ms: () => Math.max(worst, worstBefore, lateMs(performance.now())),
    stop: () => clearInterval(timer),
  };
}
