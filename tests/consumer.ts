import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A project outside the repository, as somebody has it who uses the kit. */
export interface Consumer extends Disposable {
  readonly dir: string;
  write(path: string, text: string): void;
  /** Adds packages: names with exact versions, or tarballs. From npm's cache as far as it has them. */
  install(...packages: readonly string[]): Promise<void>;
  /** Runs a program of Node's, here; resolves with all it prints, rejects with that when it fails. */
  node(args: readonly string[], runtime?: string): Promise<string>;
}

export function makeConsumer(): Consumer {
  const dir = mkdtempSync(join(tmpdir(), "flotilla-consumer-"));
  const write = (path: string, text: string) => {
    mkdirSync(join(dir, path, ".."), { recursive: true });
    writeFileSync(join(dir, path), text);
  };
  write("package.json", JSON.stringify({ private: true, type: "module" }));
  return {
    dir,
    write,
    async install(...packages) {
      const npm = process.env.npm_execpath;
      const flags = [
        "--save-exact",
        "--prefer-offline",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
      ];
      const args = [...(npm ? [npm] : []), "install", ...flags, ...packages];
      await run(npm ? process.execPath : "npm", args, { cwd: dir });
    },
    async node(args, runtime = process.execPath) {
      const { stdout, stderr } = await run(runtime, args, { cwd: dir }).catch((error) => {
        throw new Error(`It failed with ${error.code}:\n${error.stdout}${error.stderr}`);
      });
      return stdout + stderr;
    },
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}
