import { delimiter } from "node:path";
import { type Program, runProgram } from "./run-program.ts";

/** A person's environment: without the variables of npm and the test runner, and without the project's programs on the PATH. */
export function shellEnvironment(): Record<string, string> {
  const path = process.env.PATH?.split(delimiter).filter((entry) => !entry.includes("node_modules"));
  const { HOME = "", TMPDIR = "" } = process.env;
  return { PATH: path?.join(delimiter) ?? "", HOME, ...(TMPDIR && { TMPDIR }), npm_config_prefer_offline: "true" };
}

/** Runs `command` in `cwd` as a person would, with `env` beside that environment. */
export function runInShell(
  command: readonly string[],
  { cwd, env = {} }: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): Program {
  return runProgram(command, { cwd, env: { ...shellEnvironment(), ...env } });
}
