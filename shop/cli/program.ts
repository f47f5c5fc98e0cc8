import { Argument, Command, CommanderError, Option } from "commander";
import { type CliError, usageError } from "./cli-error.ts";
import type { CommandSpec, Entry, GlobalOptions, Input, OptionSpec } from "./command.ts";
import type { Style } from "./paint.ts";

/** What somebody asked for. */
export interface Chosen {
  readonly spec: CommandSpec;
  /** Such as `order create`. */
  readonly path: string;
  readonly input: Input;
  readonly globals: GlobalOptions;
}

export const globalOptions: readonly OptionSpec[] = [
  { flags: "--json", summary: "one JSON document on stdout; errors as JSON on stderr" },
  { flags: "-q, --quiet", summary: "no notes and no titles; of what is made, only its id" },
  { flags: "-v, --verbose", summary: "say on stderr how it is done" },
  { flags: "--no-color", summary: "no colour, as with NO_COLOR or TERM=dumb" },
  { flags: "--no-input", summary: "never ask; fail instead" },
  { flags: "-y, --yes", summary: "agree to what would be asked" },
  { flags: "--timeout <time>", summary: "for all that is asked of the gateway (default: 30s)" },
  { flags: "--profile <name>", summary: "which login to use (FLOTILLA_PROFILE; default: default)" },
  { flags: "--gateway <url>", summary: "where the gateway is (FLOTILLA_GATEWAY_URL, or as at the last login)" },
];

export interface ProgramOptions {
  readonly entries: readonly Entry[];
  /** Help that was asked for. */
  print(text: string): void;
  paint(style: Style, text: string): string;
  readonly columns: number | undefined;
  readonly isColoured: boolean;
}

/**
 * Reads the command line. Resolves with what it asks for, or with undefined when that was help, which is printed then.
 * Throws a usage error that names the word at fault, and the one that was meant if it is near.
 */
export async function choose(args: readonly string[], options: ProgramOptions): Promise<Chosen | undefined> {
  let chosen: Chosen | undefined;
  const program = new Command("flotilla")
    .description("The command line of the shop: log in, order, manage accounts, look around.")
    .usage("<command> [options]")
    .helpCommand(false)
    .helpOption("-h, --help", "show help; at each level")
    .option("-V, --version", "show the version")
    .exitOverride()
    .configureOutput({
      writeOut: options.print,
      writeErr: () => undefined,
      outputError: () => undefined,
      getOutHelpWidth: () => Math.min(options.columns ?? 100, 120),
      getOutHasColors: () => options.isColoured,
    })
    .configureHelp({
      showGlobalOptions: true,
      subcommandTerm: (command) => command.name(),
      styleTitle: (text) => options.paint("bold", text),
      styleSubcommandText: (text) => options.paint("cyan", text),
      styleOptionText: (text) => options.paint("cyan", text),
    })
    .showSuggestionAfterError();
  for (const spec of globalOptions) program.addOption(toOption(spec));
  for (const { name, summary } of options.entries) program.command(name).description(summary).helpOption("-h, --help");
  program.addHelpText("after", topHelp);
  program.hook("preSubcommand", async (_program, command) => {
    const spec = await options.entries.find(({ name }) => name === command.name())?.load();
    if (spec) build(command, spec, spec.name);
  });
  try {
    await program.parseAsync(wordsOf(args, options.entries), { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    throw asUsage(error, pathIn(program, args));
  }
  return chosen;

  function build(command: Command, spec: CommandSpec, path: string): void {
    command.description(spec.about ? `${spec.summary}.\n\n${spec.about}` : `${spec.summary}.`);
    command.addHelpText("after", `\n${options.paint("bold", "Examples:")}\n${indented(spec.examples)}`);
    for (const [term, summary, choices] of spec.args ?? []) {
      const argument = new Argument(term, summary);
      command.addArgument(choices ? argument.choices(choices) : argument);
    }
    for (const option of spec.options ?? []) command.addOption(toOption(option));
    for (const child of spec.commands ?? []) {
      build(command.command(child.name).helpOption("-h, --help"), child, `${path} ${child.name}`);
      command.commands.at(-1)?.summary(child.summary);
    }
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

const topHelp = `
Start here:
  npm start                         starts the shop on this machine, in another terminal
  flotilla login alice
  flotilla order create Laptop:1:999.99
  flotilla order list --json

More: flotilla help <command>, flotilla help exit-codes, docs/cli.md`;

function toOption({ flags, summary, choices, isRequired = false }: OptionSpec): Option {
  const option = new Option(flags, summary);
  if (choices) option.choices(choices);
  return option.makeOptionMandatory(isRequired);
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join("\n");
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
