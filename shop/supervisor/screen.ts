import pc from "picocolors";
import { demoCommand, type Placement, type ProcessName, serviceNames, topology } from "../topology.ts";
import type { SystemEvent } from "./events.ts";
import { prettyLogLine, visible } from "./log-line.ts";
import type { Ready } from "./system.ts";

/** Where text goes. `isTTY` decides on colour and on how a log line looks. */
export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** What the person at the terminal sees: states on `out`, logs and faults on `err`. */
export interface Screen {
  show(event: SystemEvent): void;
  showReady(ready: Ready, placement: Placement, tookMs: number): void;
  showStopping(): void;
  showStopped(drained: boolean): void;
  showError(message: string): void;
}

export interface ScreenOptions {
  readonly out: Output;
  readonly err: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}

type Colours = ReturnType<typeof pc.createColors>;

export function makeScreen({ out, err, env }: ScreenOptions): Screen {
  const colours = (output: Output): Colours =>
    pc.createColors(output.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb");
  const [onOut, onErr] = [colours(out), colours(err)];
  return {
    show(event) {
      switch (event.type) {
        case "ready":
          out.write(
            `${onOut.green("✓")} ${padded(event.service)} ready     ${event.url}  (${seconds(event.afterMs)})\n`,
          );
          break;
        case "line":
          err.write(`${logLine(event.service, event.line, { pretty: err.isTTY === true, c: onErr })}\n`);
          break;
        case "notice":
          out.write(`${onOut.yellow("!")} ${padded(event.service)} ${visible(event.text)}\n`);
          break;
        case "unresponsive":
          err.write(
            `${onErr.red("✗")} ${padded(event.service)} silent    (for ${seconds(event.silentMs)}); killing it\n`,
          );
          break;
        case "crashed":
          err.write(crashText(event, onErr));
          break;
        case "ended":
          out.write(
            `${onOut.yellow("!")} ${padded(event.service)} ended     (${event.how}); restarting in ${event.restartInMs} ms\n`,
          );
          break;
        case "stopped":
          out.write(`${onOut.dim("-")} ${padded(event.service)} stopped   (${event.how})\n`);
          break;
        default:
          event satisfies never;
      }
    },
    showReady: (ready, placement, tookMs) => void out.write(readyText({ ready, placement, tookMs, c: onOut })),
    showStopping: () => void out.write("\nStopping; press Ctrl+C again to stop at once\n"),
    showStopped: (drained) =>
      void (drained ? out.write("Stopped.\n") : err.write("Stopped; not everything ended in good order.\n")),
    showError: (message) => void err.write(`${onErr.red("✗")} ${message}\n`),
  };
}

/** A JSON line is the service's own log: as it is for a program to read, short and readable on a terminal. */
function logLine(service: ProcessName, line: string, { pretty, c }: { pretty: boolean; c: Colours }): string {
  const prefix = c.cyan(`[${service}]`);
  const isJson = line.startsWith("{");
  if (pretty) return `${prefix} ${visible(isJson ? prettyLogLine(line) : line)}`;
  return isJson ? line : `${prefix} ${line}`;
}

function crashText(
  { service, how, lastLines, crashes, restartInMs }: SystemEvent & { type: "crashed" },
  c: Colours,
): string {
  const times = crashes > 1 ? `, ${crashes} times in a row` : "";
  const said = lastLines.map((line) => `    ${c.dim(visible(line))}\n`).join("");
  return `${c.red("✗")} ${padded(service)} crashed   (${how}${times}); restarting in ${restartInMs} ms\n${said}`;
}

interface ReadyBlock {
  readonly ready: Ready;
  readonly placement: Placement;
  readonly tookMs: number;
  readonly c: Colours;
}

function readyText({ ready: { urls }, placement, tookMs, c }: ReadyBlock): string {
  const rows: [string, string][] = [
    ...titled(topology.gateway.title, urls.gateway.flatMap(endpointsOf).map(c.bold)),
    ...topology.gateway.reaches.flatMap((name) => titled(topology[name].title, urls[name])),
    ["Data directory", placement.dataDir],
  ];
  if (placement.mode === "development") rows.push(["Logins", "alice (admin), bob, charlie; password: password"]);
  const width = Math.max(...rows.map(([title]) => title.length)) + 2;
  const table = rows.map(([title, value]) => `  ${title.padEnd(width)}${value}\n`).join("");
  const title = `${c.green("Flotilla is ready")} (${placement.mode}, ${seconds(tookMs)})`;
  return `\n${title}\n\n${table}\n${demoHint(urls.gateway[0]!, placement)}Press Ctrl+C to stop\n`;
}

/** The title stands before the first. */
function titled(title: string, values: readonly string[]): [string, string][] {
  return values.map((value, index) => [index === 0 ? title : "", value]);
}

function endpointsOf(gatewayUrl: string): string[] {
  return [`${gatewayUrl}/rpc/batch`, `${gatewayUrl.replace(/^http/, "ws")}/rpc`];
}

function demoHint(gatewayUrl: string, placement: Placement): string {
  const demo = demoCommand(gatewayUrl, placement);
  return demo === undefined ? "" : `Try: ${demo}\n`;
}

/** With room for the number of an instance. */
const nameWidth = Math.max(...serviceNames.map((name) => `${name}.1`.length));

function padded(name: ProcessName): string {
  return name.padEnd(nameWidth);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}
