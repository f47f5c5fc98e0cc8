import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { until } from "./process-harness.ts";
import { killGroup, runProgram } from "./run-program.ts";

/** `npm start` as it is, ready. */
export interface Started {
  readonly pid: number;
  /** What it writes to. */
  readonly streams: readonly Readable[];
  /** What was read of it so far. */
  output(): string;
  /** Presses Ctrl+C; resolves when it has ended. Rejects unless that was in good order. */
  stop(): Promise<void>;
}

/** What does not end within its own limits (8 s, for the whole system) does not end. Milliseconds. */
const stopMsMax = 20_000;

/** Rejects, with nothing left of it, when it ends before it is ready. */
export async function npmStart(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Started> {
  const entry = fileURLToPath(new URL("../shop/start.ts", import.meta.url));
  const its = runProgram([process.execPath, entry, ...args], { env });
  const { child, output, ended } = its;
  try {
    await until(() => {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`It ended before it was ready:\n${output()}`);
      return output().includes("Press Ctrl+C to stop");
    }, "it is ready");
  } catch (error) {
    killGroup(its);
    await ended;
    throw error;
  }
  return {
    pid: child.pid!,
    streams: [child.stdout, child.stderr],
    output,
    async stop() {
      child.kill("SIGINT");
      const killLater = setTimeout(() => child.kill("SIGKILL"), stopMsMax);
      const { code } = await ended;
      clearTimeout(killLater);
      if (code !== 0) throw new Error(`It ended with ${code}:\n${output()}`);
    },
  };
}

/** Whether there is such a process. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
