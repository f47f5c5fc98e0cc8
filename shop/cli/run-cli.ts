import { readFileSync } from "node:fs";
import { settingProblems } from "../service/variables.ts";
import { onStopSignals } from "../supervisor/stop-signals.ts";
import { adviceFor } from "./advice.ts";
import { advised, toCliError, usageError } from "./cli-error.ts";
import type { Context } from "./command.ts";
import { allCommands, entries } from "./commands.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { Interrupted } from "./interrupted.ts";
import type { Chosen } from "./program.ts";
import { type Input, makePrompt } from "./prompt.ts";
import type { Shop } from "./shop.ts";
import { stopExitCodes } from "./stop-exit-codes.ts";
import { assertDecoded } from "./strict-text.ts";
import { makeTerminal, type Stream, type Terminal } from "./terminal.ts";
import { lines, say } from "./text.ts";

export interface CliOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly input: Input;
  readonly out: Stream & { readonly columns?: number };
  readonly err: Stream;
  /** Ends this process at once, for the person who presses Ctrl+C twice. */
  readonly exit: (code: number) => void;
}

/** The whole of `flotilla`. Resolves with the exit code. */
export async function runCli(options: CliOptions): Promise<number> {
  const { args, env, out, err } = options;
  const words = args.slice(0, args.includes("--") ? args.indexOf("--") : args.length);
  // Errors of the command line itself look as the person asked, too.
  const color = !words.includes("--no-color") && !env.NO_COLOR && env.TERM !== "dumb";
  let terminal = makeTerminal({ out, err, json: words.includes("--json"), quiet: false, verbose: false, color });
  let chosen: Chosen | undefined;
  try {
    if (words.includes("--version") || words.includes("-V")) {
      const version = versionOf();
      terminal.result({ version }, () => say`flotilla ${version}`);
      return 0;
    }
    for (const word of args) assertDecoded(word, "A word of the command line");
    // What reads the command line takes longer to load than the version to show.
    const { choose } = await import("./program.ts");
    chosen = await choose(args, {
      entries,
      print: (text) => out.write(text),
      paint: terminal.paint,
      columns: out.columns,
    });
    if (!chosen) return 0;
    const { json = false, quiet = false, verbose = false } = chosen.globals;
    terminal = makeTerminal({ out, err, json, quiet, verbose, color });
    return await run(chosen, terminal, options);
  } catch (thrown) {
    if (thrown instanceof Interrupted) return stopExitCodes[thrown.signal];
    const error = advised(toCliError(thrown), adviceFor(toCliError(thrown), chosen));
    terminal.error(error);
    if (error.code === "internal" && error.cause instanceof Error)
      terminal.detail(lines((error.cause.stack ?? "").split("\n").map((line) => `  ${line}`)));
    return exitCodeOf(error.code);
  }
}

async function run(chosen: Chosen, terminal: Terminal, { env, input, err, exit }: CliOptions): Promise<number> {
  const { spec, globals } = chosen;
  const problems = settingProblems(env);
  if (problems.length > 0) throw usageError(problems.join("; "));
  const interrupted = new AbortController();
  const { signal } = interrupted;
  const prompt = makePrompt({
    input,
    output: err,
    isAllowed: globals.input,
    isAgreed: globals.yes === true,
    signal,
  });
  // Help and errors of the command line do without.
  const { openShop } = await import("./open-shop.ts");
  let shop: Shop | undefined;
  const context: Context = {
    env,
    globals,
    terminal,
    prompt,
    signal,
    allCommands,
    get shop() {
      shop ??= openShop(globals, { env, terminal, signal });
      return shop;
    },
  };
  if (spec.handlesSignals) return (await spec.run?.(context, chosen.input)) ?? 0;
  const ended = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  const off = onStopSignals({
    first: (stop) => interrupted.abort(new Interrupted(stop)),
    again: (stop) => exit(stopExitCodes[stop]),
  });
  try {
    return (await Promise.race([spec.run?.(context, chosen.input), ended])) ?? 0;
  } finally {
    off();
    terminal.progressEnded();
  }
}

function versionOf(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
