import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { until } from "./process-harness.ts";

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
  const child = spawn(process.execPath, [entry, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const streams = [child.stdout, child.stderr];
  let output = "";
  for (const stream of streams) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const closed = once(child, "close") as Promise<[number | null]>;
  try {
    await until(() => {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`It ended before it was ready:\n${output}`);
      return output.includes("Press Ctrl+C to stop");
    }, "it is ready");
  } catch (error) {
    child.kill("SIGKILL");
    await closed;
    throw error;
  }
  return {
    pid: child.pid!,
    streams,
    output: () => output,
    async stop() {
      child.kill("SIGINT");
      const killLater = setTimeout(() => child.kill("SIGKILL"), stopMsMax);
      const [code] = await closed;
      clearTimeout(killLater);
      if (code !== 0) throw new Error(`It ended with ${code}:\n${output}`);
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
