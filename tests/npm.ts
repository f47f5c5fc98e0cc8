import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { delimiter } from "node:path";
import type { Readable } from "node:stream";

export interface NpmRun {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** Output so far, its programs' included. */
  output(): string;
  /** Resolves with the output when it matches. Rejects when npm ends before. */
  says(pattern: RegExp): Promise<string>;
  /** Resolves when npm and all that writes where it did has ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>;
}

/** A person's environment: without the variables of npm and the test runner, and without the project's programs on the PATH. */
export function shellEnvironment(): Record<string, string> {
  const path = process.env.PATH?.split(delimiter).filter((entry) => !entry.includes("node_modules"));
  const { HOME = "", TMPDIR = "" } = process.env;
  return { PATH: path?.join(delimiter) ?? "", HOME, ...(TMPDIR && { TMPDIR }), npm_config_prefer_offline: "true" };
}

/** Runs `command` in `cwd` as the leader of a process group of its own. */
export function runInShell(
  [command = "npm", ...args]: readonly string[],
  { cwd, env = {} }: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): NpmRun {
  const stdio: ["ignore", "pipe", "pipe"] = ["ignore", "pipe", "pipe"];
  const child = spawn(command, args, { cwd, env: { ...shellEnvironment(), ...env }, detached: true, stdio });
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
      void ended.then(() => reject(new Error(`It ended without saying ${pattern}:\n${output}`)));
    });
  return { child, output: () => output, says, ended };
}

/** Ends a whole process group; there may be none any more. */
export function killGroup({ child }: NpmRun): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
