/**
 * npm passes a Ctrl+C on to a process that had it from the terminal already, so within this time two signals are one.
 * Milliseconds; a person takes longer to lose patience.
 */
const sameKeyMs = 300;

export const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
export type StopSignal = (typeof stopSignals)[number];

export interface StopHandlers {
  /** Stop in good order. */
  first(signal: StopSignal): void;
  /** The person insists: stop now. */
  again(signal: StopSignal): void;
}

/** Makes a handler of stop signals that tells a second request from an echo of the first. */
export function makeStopHandler(handlers: StopHandlers, nowMs = () => performance.now()): (signal: StopSignal) => void {
  let firstMs: number | undefined;
  return (signal) => {
    if (firstMs === undefined) {
      firstMs = nowMs();
      handlers.first(signal);
    } else if (nowMs() - firstMs > sameKeyMs) {
      handlers.again(signal);
    }
  };
}

/** Handles the stop signals of this process until the function it returns is called. */
export function onStopSignals(handlers: StopHandlers): () => void {
  const handle = makeStopHandler(handlers);
  for (const signal of stopSignals) process.on(signal, handle);
  return () => {
    for (const signal of stopSignals) process.off(signal, handle);
  };
}
