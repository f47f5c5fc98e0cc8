import type { DestinationStatus, InstanceStatus, SystemStatus } from "../../contracts/status.ts";
import { CliError } from "../cli-error.ts";
import type { CommandSpec } from "../command.ts";
import { refusalOf } from "../post.ts";
import type { Shop } from "../shop.ts";
import { fields, lines, type Paint, type Printable, say, table } from "../text.ts";
import { spanText } from "../times.ts";

export const status: CommandSpec = {
  name: "status",
  summary: "Show whether the shop is ready",
  about:
    "Needs no login. Names the services that do not answer. Ends with 0 when the gateway and the services behind it are\n" +
    "ready, with 6 when they are not.",
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
    const { state, isReady, waitsFor, answeredInMs } = await readiness(shop);
    if (!isReady && terminal.json) throw notReady(shop.url, state, waitsFor);
    terminal.result({ gateway: shop.url, status: state, answeredInMs, waitsFor }, () => {
      if (terminal.quiet) return "";
      const { paint } = terminal;
      const mark = isReady ? paint("green", "✓ ready") : paint("yellow", `! ${state}`);
      const waits = waitsFor.length === 0 ? undefined : waitsFor.map(waitText).join("; ");
      return say`${mark}\n${fields({ gateway: shop.url, "answered in": `${answeredInMs} ms`, "waits for": waits }, paint)}`;
    });
    return isReady ? 0 : 6;
  },
};

interface Readiness {
  readonly state: string;
  readonly isReady: boolean;
  readonly waitsFor: readonly WaitsFor[];
  readonly answeredInMs: number;
}

/** A service that the gateway waits for. */
interface WaitsFor {
  readonly name: string;
  readonly forMs?: number;
}

/** The gateway's public answer. */
async function readiness(shop: Shop): Promise<Readiness> {
  const startedMs = performance.now();
  const answer = await shop.get("readyz");
  const answeredInMs = Math.round(performance.now() - startedMs);
  const { status: state, service, waitsFor } = parse(answer.text);
  if (service !== "gateway" || typeof state !== "string") throw refusalOf(new URL(shop.url), answer);
  const waits = Array.isArray(waitsFor) ? waitsFor.flatMap(toWait) : [];
  return { state, isReady: answer.status === 200, waitsFor: waits, answeredInMs };
}

function toWait(value: unknown): WaitsFor[] {
  const { name, forMs } = Object(value) as Record<string, unknown>;
  if (typeof name !== "string") return [];
  return [{ name, ...(typeof forMs === "number" && { forMs }) }];
}

function waitText({ name, forMs }: WaitsFor): string {
  return `${name}, which has not answered${forMs === undefined ? "" : ` for ${spanText(forMs)}`}`;
}

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

/** A call that takes so long is worth a word. Milliseconds. */
const silentMsMin = 1_000;

const columns = [
  { title: "SERVICE", of: (it: Row) => it.of.name },
  { title: "AT", of: (it: Row) => it.url },
  { title: "STATE", of: (it: Row) => (it.isOpen ? (it.isLeaving ? "leaving" : "open") : "away") },
  { title: "SILENT", align: "right", of: (it: Row) => (it.silentMs < silentMsMin ? "-" : spanText(it.silentMs)) },
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

function notReady(url: string, state: string, waitsFor: readonly WaitsFor[]): CliError {
  const waits = waitsFor.length === 0 ? "" : `: it waits for ${waitsFor.map(waitText).join("; ")}`;
  const detail = { reason: "not_ready", retryable: true };
  return new CliError("unavailable", `The gateway at ${url} is ${state}${waits}`, detail);
}

function parse(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}
