/**
 * npm passes on a Ctrl+C that the terminal sent to the process already, and systemd may send SIGHUP beside SIGTERM, so
 * within this time two signals are one request. Milliseconds; a person takes longer to lose patience.
 */
const sameRequestMs = 300;

const signals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * Runs `stop` once on SIGTERM, SIGINT or SIGHUP, and ends the process when it is done: with 0 after a clean stop, with 1
 * when `stop` failed, and at once with 130 on a second signal. Signals less than 300 ms after the first count as one.
 *
 * @returns a function that stops listening for the signals.
 */
export function onShutdownSignal(stop: (signal: NodeJS.Signals) => Promise<void>): () => void {
  let firstMs: number | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    if (firstMs !== undefined) {
      if (performance.now() - firstMs > sameRequestMs) process.exit(130);
      return;
    }
    firstMs = performance.now();
    // Not Promise.try, which Node 22 lacks.
    const stopped = new Promise<void>((resolve) => resolve(stop(signal)));
    stopped.then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`The stop failed: ${error instanceof Error ? error.message : "unknown"}\n`);
        process.exit(1);
      },
    );
  };
  for (const signal of signals) process.on(signal, onSignal);
  return () => {
    for (const signal of signals) process.off(signal, onSignal);
  };
}
