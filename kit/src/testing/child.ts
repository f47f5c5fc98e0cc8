import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** A process of its own, and what it says. */
export interface Child extends AsyncDisposable {
  readonly process: ChildProcess;
  /** What it has written so far. */
  output(): string;
  /** Resolves when its standard output has `text`. */
  says(text: string): Promise<void>;
  /** Its exit code, or the signal that ended it. */
  ended(): Promise<number | NodeJS.Signals>;
}

/**
 * A process of Node's that runs `program`, a module in plain JavaScript; sources of ours are imported by their URLs.
 * Disposing it kills it if it is still there.
 */
export function spawnChild(program: string): Child {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  // Not "exit", after which there may be output to read.
  const closed = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  let output = "";
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      output += text;
      for (const listener of listeners) listener();
    });
  }
  return {
    process: child,
    output: () => output,
    says(text) {
      return new Promise((resolve, reject) => {
        const look = () => {
          if (!output.includes(text)) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        look();
        closed.then(() => reject(new Error(`It ended without saying "${text}", but: ${output}`)), reject);
      });
    },
    async ended() {
      const [code, signal] = await closed;
      return code ?? signal!;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await closed;
    },
  };
}
