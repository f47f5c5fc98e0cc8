import { CliError } from "../cli-error.ts";
import type { CommandSpec } from "../command.ts";
import { refusalOf } from "../post.ts";
import { fields } from "../text.ts";

export const status: CommandSpec = {
  name: "status",
  summary: "Show whether the shop is ready",
  about: "Needs no login. Ends with 0 when the gateway and the services behind it are ready, with 6 when they are not.",
  examples: ["flotilla status", "flotilla status --json", "flotilla status --quiet && echo ready"],
  async run({ terminal, shop }) {
    const startedMs = performance.now();
    const answer = await shop.get("readyz");
    const answeredInMs = Math.round(performance.now() - startedMs);
    const { status: state, service } = parse(answer.text);
    if (service !== "gateway" || typeof state !== "string") throw refusalOf(new URL(shop.url), answer);
    const isReady = answer.status === 200;
    const shown = { gateway: shop.url, status: state, answeredInMs };
    if (!isReady && terminal.json) throw notReady(shop.url, state);
    terminal.result(shown, () => {
      if (terminal.quiet) return "";
      const { paint } = terminal;
      const mark = isReady ? paint("green", "✓ ready") : paint("yellow", `! ${state}`);
      return `${mark}\n${fields({ gateway: shop.url, "answered in": `${answeredInMs} ms` }, paint)}`;
    });
    return isReady ? 0 : 6;
  },
};

function notReady(url: string, state: string): CliError {
  return new CliError("unavailable", `The gateway at ${url} is ${state}`, { reason: "not_ready", retryable: true });
}

function parse(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}
