import type { CommandSpec } from "../command.ts";

export const demo: CommandSpec = {
  name: "demo",
  summary: "Walk through ten steps",
  about:
    "Bob and Alice, whom a development system has, order and cancel: on the shop that runs here, once it is ready;\n" +
    "without one, on a private one that is removed afterwards.",
  examples: ["flotilla demo"],
  handlesSignals: true,
  async run({ env, globals, terminal }) {
    const [{ runDemo }, { timeoutMsOf }] = await Promise.all([import("../run-demo.ts"), import("../open-shop.ts")]);
    const lines: string[] = [];
    const code = await runDemo({
      env: globals.gateway === undefined ? env : { ...env, FLOTILLA_GATEWAY_URL: globals.gateway },
      timeoutMs: timeoutMsOf(globals.timeout),
      out: terminal.json ? { write: (line) => lines.push(line.trimEnd()) } : process.stdout,
      err: process.stderr,
      exit: (exitCode) => process.exit(exitCode),
    });
    if (terminal.json && code === 0) terminal.result({ lines }, () => "");
    return code;
  },
};
