import { join } from "node:path";
import { CliError, usageError } from "../cli-error.ts";
import type { CommandSpec, Context } from "../command.ts";
import { lines, type Printable, say } from "../text.ts";

const name = ["<service>", "its name: users, orders, gateway or one of your own"] as const;

export const keys: CommandSpec = {
  name: "keys",
  summary: "The keys of the services",
  about: "Works on the data directory of this machine (FLOTILLA_DATA), running or not; see docs/operations.md.",
  examples: ["flotilla keys list", "flotilla keys rotate users", "flotilla keys revoke users"],
  commands: [
    command("list", "List every key: whose, its state, since when", []),
    command("create", "Make a key for a service that has none", [name]),
    command("show", "Show the trusted keys of a service, as `keys trust` takes them on another machine", [name]),
    command("trust", "Trust keys of a service that lives on another machine", [name, ["<key...>", "as shown there"]]),
    command("rotate", "Make the next key of a service; the one before stays trusted", [name]),
    command("revoke", "End trust in a key, or in all but the one in use; asks first", [name, ["[key]", "which one"]]),
  ],
};

function command(word: string, summary: string, args: NonNullable<CommandSpec["args"]>): CommandSpec {
  const typical: Readonly<Record<string, string>> = {
    list: "",
    trust: " orders Iu3F5m1ZVk0yB1m3kXo0yPpZJ1v0m6r5t7e9b2c4d6A",
  };
  return {
    name: word,
    summary,
    args,
    examples: [`flotilla keys ${word}${typical[word] ?? " users"}`],
    async run(context, input) {
      const words = input.args.flatMap((it) => it ?? []);
      if (word === "revoke") await context.prompt.agreement(say`End trust in keys of ${words[0] ?? ""}?`);
      await run(context, [word, ...words]);
    },
  };
}

async function run({ env, terminal }: Context, words: readonly string[]): Promise<void> {
  const { runKeys } = await import("@flotilla/kit");
  const dataDir = await dataDirIn(env);
  const said: string[] = [];
  const failed: string[] = [];
  const code = runKeys({
    directory: join(dataDir, "keys"),
    args: ["--json", "--", ...words],
    out: (text) => said.push(text),
    err: (text) => failed.push(text),
  });
  if (code !== 0) throw new CliError(code === 2 ? "invalid_argument" : "failed_precondition", failed.join("; "));
  const listed = JSON.parse(said.join("\n")) as Listed[];
  terminal.result(listed, () => text(listed, terminal.quiet));
  if (listed.length === 0) terminal.note(say`No keys yet; the services make theirs when they first start`);
}

async function dataDirIn(env: Context["env"]): Promise<string> {
  const { readPlacement } = await import("../../service/placement.ts");
  try {
    return readPlacement(env, []).dataDir;
  } catch (error) {
    throw usageError((error as Error).message);
  }
}

/** One key; without a state it is what `words` did. */
interface Listed {
  readonly name: string;
  readonly key: string;
  readonly state?: string;
  readonly comment?: string;
}

function text(listed: readonly Listed[], quiet: boolean): Printable {
  const rows = listed
    .map((it) => (quiet ? [it.key] : [it.name.padEnd(8), it.key, it.state?.padEnd(7), it.comment]))
    .map((cells) => cells.filter((cell) => cell !== undefined).join("  "));
  return lines(rows);
}
