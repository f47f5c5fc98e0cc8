import type { CommandSpec } from "../command.ts";

export const repl: CommandSpec = {
  name: "repl",
  summary: "Hold capabilities, interactively",
  about:
    "JavaScript, with `gateway`, `token`, `await account()`, `why(cap)`, `caps()` and `revoke(cap)`; `help()` says more.\n" +
    "Lines may come from a program, too: it ends with 1 when one of them failed. Nothing is kept of what was typed.",
  examples: ["flotilla repl", "echo 'await (await account()).orders()' | flotilla repl --json"],
  handlesSignals: true,
  async run(context) {
    const { runSession } = await import("../repl/session.ts");
    return await runSession({ context, input: process.stdin, output: process.stdout });
  },
};
