import type { CommandSpec } from "../command.ts";
import { completionScript, type Shell } from "../completion.ts";
import { Printable } from "../text.ts";

export const completion: CommandSpec = {
  name: "completion",
  summary: "Print a completion script",
  about: "The script knows all commands and options, and starts nothing when it completes.",
  args: [["<shell>", "bash, zsh or fish", ["bash", "zsh", "fish"]]],
  examples: [
    'bash: eval "$(flotilla completion bash)"',
    'zsh:  eval "$(flotilla completion zsh)"',
    "fish: flotilla completion fish | source",
  ],
  async run({ terminal, allCommands }, { args }) {
    const [shell] = args as [string];
    const script = completionScript(shell as Shell, await allCommands());
    terminal.result({ shell, script }, () => Printable.ours(script));
  },
};
