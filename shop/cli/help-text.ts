import type { CommandSpec, Entry, OptionSpec } from "./command.ts";
import { globalOptions } from "./global-options.ts";
import type { Paint, Style } from "./text.ts";

export interface HelpOptions {
  readonly paint: Paint;
  /** Of the terminal; text that is as wide as it is written when nobody knows. */
  readonly columns: number | undefined;
}

type Row = readonly [term: string, summary: string];

/** Lines that are longer are hard to read, however wide the terminal is. Columns. */
const widthMax = 110;
const helpRow: Row = ["-h, --help", "show this"];

/** The help of all. */
export function topHelp(entries: readonly Entry[], { paint, columns }: HelpOptions): string {
  const sections = layout({ paint, columns });
  return [
    `${paint("bold", "Usage:")} flotilla <command> [options]`,
    "The command line of the shop: log in, order, manage accounts, look around.",
    sections.rows(
      "Commands:",
      entries.map(({ name, summary }) => [name, summary]),
    ),
    sections.rows("Options, for all commands:", [
      ...globalOptions.map(toRow),
      ["-V, --version", "show the version"],
      helpRow,
    ]),
    sections.lines("Start here:", startHere),
    "More: flotilla help <command>, flotilla help exit-codes, docs/cli.md",
  ].join("\n\n");
}

const startHere = [
  "npm start                              starts the shop on this machine, in another terminal",
  "flotilla login alice",
  "flotilla order create Laptop:1:999.99",
  "flotilla order list --json",
];

/** The help of one command, or of a group. */
export function helpOf(spec: CommandSpec, path: string, { paint, columns }: HelpOptions): string {
  const { summary, about, args = [], options = [], commands, examples } = spec;
  const sections = layout({ paint, columns });
  const words = commands ? ["<command>"] : args.map(([term]) => term);
  return [
    `${paint("bold", "Usage:")} ${["flotilla", path, ...words, "[options]"].join(" ")}`,
    `${summary}.`,
    about ?? "",
    sections.rows("Commands:", commands?.map((it) => [it.name, it.summary]) ?? []),
    sections.rows(
      "Arguments:",
      args.map(([term, of]): Row => [term, of]),
    ),
    sections.rows("Options:", options.map(toRow)),
    sections.lines("Examples:", examples),
    sections.rows("Options, for all commands:", [...globalOptions.map(toRow), helpRow]),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

function toRow({ flags, summary, isRequired }: OptionSpec): Row {
  return [flags, isRequired ? `${summary} (required)` : summary];
}

function layout({ paint, columns = widthMax }: HelpOptions) {
  const width = Math.min(columns, widthMax);
  const title = (text: string, style: Style = "bold") => paint(style, text);
  return {
    /** Empty without rows. */
    rows(heading: string, rows: readonly Row[]): string {
      if (rows.length === 0) return "";
      const termWidth = Math.max(...rows.map(([term]) => term.length));
      const indent = " ".repeat(termWidth + 4);
      const line = ([term, summary]: Row) => {
        const text = wrapped(summary, Math.max(width - indent.length, 30)).join(`\n${indent}`);
        return `  ${title(term, "cyan")}${" ".repeat(termWidth - term.length)}  ${text}`;
      };
      return [title(heading), ...rows.map(line)].join("\n");
    },
    lines(heading: string, lines: readonly string[]): string {
      return [title(heading), ...lines.map((line) => `  ${line}`)].join("\n");
    },
  };
}

function wrapped(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1) ?? "";
    if (last === "") lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
