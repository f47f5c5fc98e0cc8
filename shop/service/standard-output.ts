/**
 * For a process that serves: it outlives whoever reads what it prints. A pipe that was closed or a disk that is full loses
 * lines, and ends nothing.
 */
export function outliveReaders(): void {
  for (const output of [process.stdout, process.stderr]) output.on("error", () => undefined);
}

/**
 * For a command, whose result is what it prints: a reader that stops early, as `head` does, is no error; anything else is
 * said on stderr, and ends with 1.
 */
export function reportLostOutput(): void {
  process.stderr.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") process.exitCode = 1;
  });
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return;
    process.exitCode = 1;
    process.stderr.write(`✗ The output cannot be written: ${error.message}\n`);
  });
}
