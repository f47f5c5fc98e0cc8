import type { DestinationStatus, InstanceStatus, SystemStatus } from "../../contracts/status.ts";
import { CliError } from "../cli-error.ts";
import type { CommandSpec } from "../command.ts";
import { refusalOf } from "../post.ts";
import type { Paint } from "../paint.ts";
import { fields, lines, type Printable, say, table } from "../text.ts";

export const status: CommandSpec = {
  name: "status",
  summary: "Show whether the shop is ready",
  about: "Needs no login. Ends with 0 when the gateway and the services behind it are ready, with 6 when they are not.",
  options: [
    {
      flags: "--details",
      summary: "what the gateway knows of the services behind it; takes the permission system.admin",
    },
  ],
  examples: [
    "flotilla status",
    "flotilla status --json",
    "flotilla status --quiet && echo ready",
    "flotilla status --details",
  ],
  calls: ["ApiGateway.status"],
  async run({ terminal, shop }, { options }) {
    if (options.details === true) {
      const details = await shop.callAs((gateway, token) => gateway.status(token));
      terminal.result(details, () => detailsText(details, terminal));
      return 0;
    }
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
      return say`${mark}\n${fields({ gateway: shop.url, "answered in": `${answeredInMs} ms` }, paint)}`;
    });
    return isReady ? 0 : 6;
  },
};

interface Row extends InstanceStatus {
  readonly of: DestinationStatus;
}

function detailsText(system: SystemStatus, { paint, quiet }: { paint: Paint; quiet: boolean }): Printable {
  const { version, commit, instance, uptimeMs, load, destinations } = system;
  const state = load.isOverloaded ? paint("yellow", "! overloaded") : paint("green", "✓ keeping up");
  const gateway = {
    version: commit === null ? version : `${version} (${commit.slice(0, 12)})`,
    instance,
    up: `${Math.round(uptimeMs / 1_000)} s`,
    refused: `${load.shed} for overload`,
    "event loop": `at most ${load.loopLagMs} ms late`,
  };
  const rows = destinations.flatMap((of) => of.instances.map((it): Row => ({ ...it, of })));
  return lines([state, fields(gateway, paint), table(rows, columns, { paint, titles: !quiet })]);
}

const columns = [
  { title: "SERVICE", of: (it: Row) => it.of.name },
  { title: "AT", of: (it: Row) => it.url },
  { title: "STATE", of: (it: Row) => (it.isOpen ? (it.isLeaving ? "leaving" : "open") : "away") },
  { title: "CALLS", align: "right", of: (it: Row) => String(it.underWay) },
  { title: "FAILED", align: "right", of: (it: Row) => String(it.failures) },
  { title: "REPEATED", align: "right", of: (it: Row) => String(it.of.repeated) },
  { title: "BREAKERS", of: (it: Row) => breakersOf(it) },
] as const;

/** The groups that are not closed; what is well needs no words. */
function breakersOf({ breakers }: InstanceStatus): string {
  const troubled = Object.entries(breakers).filter(([, state]) => state !== "closed");
  return troubled.map(([group, state]) => `${group || "all"} ${state}`).join(", ") || "closed";
}

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
