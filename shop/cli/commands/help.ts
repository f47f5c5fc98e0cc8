import type { CommandSpec } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import { table } from "../text.ts";

export const help: CommandSpec = {
  name: "help",
  summary: "Show help for a command or topic",
  about: "Topics: exit-codes.",
  args: [["[command...]", "such as `order create`, or a topic"]],
  examples: ["flotilla help order create", "flotilla help exit-codes"],
  async run({ terminal }) {
    const columns = [
      { title: "CODE", align: "right", of: ({ code }: (typeof exitCodes)[number]) => String(code) },
      { title: "NAME", of: ({ name }: (typeof exitCodes)[number]) => name },
      { title: "MEANING", of: ({ meaning }: (typeof exitCodes)[number]) => meaning },
    ] as const;
    const { paint, quiet } = terminal;
    terminal.result(exitCodes, () => table(exitCodes, columns, { paint, titles: !quiet }));
  },
};
