import type { CommandSpec, OptionSpec } from "./command.ts";
import { globalOptions } from "./global-options.ts";

/** The page of all commands, in Markdown. */
export function referenceOf(commands: readonly CommandSpec[]): string {
  const parts = [
    "# Every command",
    "Written from the commands themselves; a test says when it is out of date, and `npx vitest run tests/cli-page.slow.test.ts -u`\n" +
      "writes it anew. How they are used: [cli.md](cli.md).",
    "Each takes these options:",
    listOf(globalOptions.map(optionLine)),
    ...commands.flatMap((spec) => sectionsOf(spec, spec.name)),
  ];
  return `${parts.join("\n\n")}\n`;
}

function sectionsOf(spec: CommandSpec, path: string): string[] {
  const { summary, about, args = [], options = [], examples, commands } = spec;
  const lines = [
    ...args.map(([term, of]) => `- \`${term}\`: ${of}`),
    ...options.map(optionLine).map((line) => `- ${line}`),
  ];
  const own = [
    `${commands || !path.includes(" ") ? "##" : "###"} ${path}`,
    [`${summary}.`, about].filter(Boolean).join("\n"),
    lines.join("\n"),
    commands ? "" : `\`\`\`text\n${examples.join("\n")}\n\`\`\``,
  ];
  const below = (commands ?? []).flatMap((child) => sectionsOf(child, `${path} ${child.name}`));
  return [...own.filter((part) => part !== ""), ...below];
}

function optionLine({ flags, summary, isRequired }: OptionSpec): string {
  return `\`${flags}\`: ${summary}${isRequired ? " (required)" : ""}`;
}

function listOf(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join("\n");
}
