/**
 * Runs `stop` once on SIGTERM or SIGINT, and ends the process when it is done: with 0 after a clean stop, with 1 when
 * `stop` failed, and at once with 130 on the second signal.
 *
 * @returns a function that stops listening for the signals.
 */
export function onShutdownSignal(stop: (signal: NodeJS.Signals) => Promise<void>): () => void {
  let isStopping = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (isStopping) process.exit(130);
    isStopping = true;
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
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  return () => {
    process.off("SIGTERM", onSignal);
    process.off("SIGINT", onSignal);
  };
}
