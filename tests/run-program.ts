import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";

export interface Program {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** Output so far, that of the processes it started included. */
  output(): string;
  /** Resolves with the output when it matches. Rejects when the program ends before. */
  says(pattern: RegExp): Promise<string>;
  /** Resolves when the program and all that writes where it did has ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>;
}

/** Runs `command` as the leader of a process group of its own, which `killGroup` ends. */
export function runProgram(
  [command = "", ...args]: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv },
): Program {
  const child = spawn(command, args, {
    ...options,
    detached: process.platform !== "win32",
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const checks = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      for (const check of checks) check();
    });
  }
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, output }));
  const says = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const check = () => {
        if (!pattern.test(output)) return;
        checks.delete(check);
        resolve(output);
      };
      checks.add(check);
      check();
      ended.then(() => reject(new Error(`It ended without saying ${pattern}:\n${output}`)), reject);
    });
  return { child, output: () => output, says, ended };
}

/** Ends a program and whatever it started in its group; all may have ended already. */
export function killGroup({ child }: Program): void {
  child.kill("SIGKILL");
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // The group has ended, or this is Windows.
  }
}
