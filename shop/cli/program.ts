import { Argument, Command, CommanderError, Option } from "commander";
import { type CliError, usageError } from "./cli-error.ts";
import type { CommandSpec, Entry, GlobalOptions, Input, OptionSpec } from "./command.ts";
import { globalOptions } from "./global-options.ts";
import { type HelpOptions, helpOf, topHelp } from "./help-text.ts";

/** What somebody asked for. */
export interface Chosen {
  readonly spec: CommandSpec;
  /** Such as `order create`. */
  readonly path: string;
  readonly input: Input;
  readonly globals: GlobalOptions;
}

export interface ProgramOptions extends HelpOptions {
  readonly entries: readonly Entry[];
  /** Help that was asked for. */
  print(text: string): void;
}

/**
 * Reads the command line. Resolves with what it asks for, or with undefined when that was help, which is printed then.
 * Throws a usage error that names the word at fault, and the one that was meant if it is near.
 */
export async function choose(args: readonly string[], options: ProgramOptions): Promise<Chosen | undefined> {
  let chosen: Chosen | undefined;
  const helps = new Map<Command, () => string>();
  const program = new Command("flotilla")
    .helpCommand(false)
    .helpOption("-h, --help")
    .option("-V, --version")
    .exitOverride()
    .configureOutput({ writeOut: options.print, writeErr: () => undefined, outputError: () => undefined })
    .configureHelp({ formatHelp: (command) => `${helps.get(command)?.() ?? ""}\n` })
    .showSuggestionAfterError();
  helps.set(program, () => topHelp(options.entries, options));
  for (const spec of globalOptions) program.addOption(toOption(spec));
  for (const { name } of options.entries) program.command(name);
  program.hook("preSubcommand", async (_program, command) => {
    const spec = await options.entries.find(({ name }) => name === command.name())?.load();
    if (spec) build(command, spec, spec.name);
  });
  const words = wordsOf(args, options.entries);
  try {
    await program.parseAsync(words, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    throw asUsage(error, pathIn(program, words));
  }
  return chosen;

  function build(command: Command, spec: CommandSpec, path: string): void {
    command.helpCommand(false);
    helps.set(command, () => helpOf(spec, path, options));
    for (const [term, summary, choices] of spec.args ?? []) {
      const argument = new Argument(term, summary);
      command.addArgument(choices ? argument.choices(choices) : argument);
    }
    for (const option of spec.options ?? []) command.addOption(toOption(option));
    for (const child of spec.commands ?? []) build(command.command(child.name), child, `${path} ${child.name}`);
    if (!spec.run) return;
    command.action(() => {
      const input = { args: command.processedArgs as Input["args"], options: command.opts<Input["options"]>() };
      chosen = { spec, path, input, globals: program.opts<GlobalOptions>() };
    });
  }
}

/** `help order create` is `order create --help`; topics are for the command `help` itself. */
function wordsOf(args: readonly string[], entries: readonly Entry[]): readonly string[] {
  if (args[0] !== "help") return args.length === 0 ? ["--help"] : args;
  const about = args.slice(1).filter((word) => !word.startsWith("-"));
  if (about[0] === undefined || entries.some(({ name }) => name === about[0])) return [...about, "--help"];
  return topics.includes(about[0]) ? args : args.slice(1);
}

const topics: readonly string[] = ["exit-codes"];

function toOption({ flags, summary, choices, isRequired = false }: OptionSpec): Option {
  const option = new Option(flags, summary);
  if (choices) option.choices(choices);
  return option.makeOptionMandatory(isRequired);
}

/** How far the words lead into the tree. */
function pathIn(program: Command, args: readonly string[]): string {
  let command = program;
  for (const word of args) command = command.commands.find((it) => it.name() === word) ?? command;
  const names: string[] = [];
  for (let it: Command | null = command; it; it = it.parent) names.unshift(it.name());
  return names.join(" ");
}

function asUsage(error: CommanderError, path: string): CliError {
  const help = `See \`${path} --help\``;
  if (error.code === "commander.help") return usageError(`${path} needs a command`, help);
  const [first = "", ...more] = error.message.replace(/^error: /, "").split("\n");
  const meant = more.join(" ").trim();
  return usageError(
    `${first.charAt(0).toUpperCase()}${first.slice(1)}`,
    meant === "" ? help : `${meant.slice(1, -1)} ${help}`,
  );
}
