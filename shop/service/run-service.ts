import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import {
  type Busyness,
  connectAll,
  edgeLimits,
  FlotillaError,
  type Home,
  type Identity,
  type Instances,
  linkLimits,
  type Metrics,
  makeHome,
  makeMetrics,
  type OnAnswered,
  type OnClosed,
  type OpsServer,
  onShutdownSignal,
  openDirectory,
  openIdentity,
  type Registration,
  type RpcTarget,
  reasonOf,
  registerInEtcd,
  serveOps,
  systemClock,
} from "@flotilla/kit";
import {
  opsPortVariable,
  type Placement,
  portVariable,
  processNameOf,
  type ServiceName,
  socketPathOf,
  topology,
} from "../topology.ts";
import { type Build, readBuild } from "./build.ts";
import { openDataDirectory } from "./data-directory.ts";
import { watchFigures } from "./figures.ts";
import { leasesOf } from "./leases.ts";
import { type Log, type LogSink, makeLog, openLogSink } from "./log.ts";
import { userLimits } from "./rate-settings.ts";
import { readSettings, type Settings } from "./settings.ts";
import { makeSparseLog } from "./sparse-log.ts";
import { outliveReaders, reportLostOutput } from "./standard-output.ts";
import { exitFailure, exitUsage, StartError } from "./start-error.ts";
import type { Environment } from "./variables.ts";

/** What a service finds when it starts: the same for each of them. */
export interface ServiceHost {
  readonly placement: Placement;
  /** A Unix socket that it listens at too. */
  readonly socketPath: string | undefined;
  readonly settings: Settings;
  readonly metrics: Metrics;
  /** Hears of what was refused before any method ran: counts it, and logs web pages that are not listed. */
  readonly onRefused: (refusal: FlotillaError) => void;
  /** Hears of each call that was answered; undefined when nobody asks. */
  readonly onAnswered: OnAnswered | undefined;
  readonly build: Build;
  /** All that `connectTo` connected to. */
  readonly destinations: readonly Pick<Instances<RpcTarget>, "name" | "report" | "stats">[];
  readonly logSink: LogSink;
  /** Ours; made on the first start. */
  readonly identity: Identity;
  /** Hears of a file that was open to its group, and was closed. */
  readonly onClosed: OnClosed;
  readonly home: Home;
  readonly log: Log;
  /** Tells the person at the terminal something at once, under a supervisor too. */
  notify(text: string): void;
  /** Where a service that we reach is found, for people. */
  placeOf(service: ServiceName): string;
  /** Connects to all its instances, as ourselves. The caller owns the connections. */
  connectTo<T extends RpcTarget>(service: ServiceName): Instances<T>;
}

export interface RunningService {
  readonly url: string;
  /** What a person at the terminal sees, line by line. */
  readonly banner: readonly string[];
  /** What it holds now: entries in the tables of its sessions, live introductions. */
  stats(): Stats;
  busyness(): Busyness;
  /** Each part of its readiness by name: whether it is ready, or why not. */
  checks(): Readonly<Record<string, boolean | string>>;
  /** Answers what is under way, then lets go of everything. */
  stop(): Promise<void>;
}

export type Stats = { readonly [name: string]: number | Stats };

/**
 * Runs one service as this process: its settings, data directory and key, its banner, and its end by SIGTERM, SIGINT or
 * the death of the supervisor that started it.
 */
export async function runService(
  name: ServiceName,
  env: Environment,
  start: (host: ServiceHost) => Promise<RunningService>,
): Promise<void> {
  let port = portVariable(name);
  try {
    const asked = readArgs(name, process.argv.slice(2));
    if (asked.help) {
      reportLostOutput();
      process.stdout.write(usageOf(name));
      return;
    }
    const settings = readSettings(name, env);
    if (asked["print-config"]) {
      reportLostOutput();
      printConfig(name, settings);
      return;
    }
    outliveReaders();
    const host = openHost(name, settings);
    const service = await start(host);
    port = opsPortVariable(name);
    const ops = await startOps(host, service);
    endWithUs(host, service, { ops, registration: register(host, service) });
    process.stdout.write(`${service.banner.join("\n")}\n`);
    if (ops) process.stdout.write(`Operations: ${ops.url}/metrics, ${ops.url}/readyz\n`);
    process.send?.({ type: "listening", url: service.url, ...(ops && { opsUrl: ops.url }) });
    process.on("message", (message: { type?: unknown } | null) => {
      // By this the supervisor knows that the event loop goes round.
      if (message?.type === "ping") process.send?.({ type: "pong" });
      if (message?.type === "stats") process.send?.({ type: "stats", stats: service.stats() });
    });
  } catch (error) {
    const isExpected = error instanceof StartError || (error instanceof FlotillaError && error.code !== "internal");
    const text = error instanceof Error ? (isExpected ? error.message : error.stack) : String(error);
    process.stderr.write(`${text}\n`);
    const hint = listenHint(error, port);
    if (hint !== undefined) process.stderr.write(`${hint}\n`);
    process.exit(isExpected ? exitUsage : exitFailure);
  }
}

/** The setting to change when the service cannot listen on the port of `variable`. */
function listenHint(error: unknown, variable: string): string | undefined {
  const reason = reasonOf(error);
  if (reason === "port_in_use") return `Choose another with ${variable}.`;
  if (reason !== "cannot_listen") return undefined;
  const { cause } = error as FlotillaError;
  return `${cause instanceof Error ? `${cause.message}. ` : ""}Check FLOTILLA_HOST and ${variable}.`;
}

function openHost(name: ServiceName, settings: Settings): ServiceHost {
  const { placement, logLevel, opsPort } = settings;
  const logSink = openLogSink();
  const log = makeLog(processNameOf(name, placement), logLevel, logSink.stream);
  const dataDir = openDataDirectory(placement.dataDir);
  const onClosed = (file: string) => log.warn({ file }, "this file was open to its group, and is closed now");
  const identity = openIdentity(join(dataDir, "keys"), name, { onClosed });
  const onFault = (fault: unknown) => log.error({ err: fault }, "a fault in the service");
  const home = makeHome({ name, onFault, leases: leasesOf(settings) });
  const metrics = makeMetrics(name);
  const onAnswered = opsPort === undefined ? undefined : metrics.answered;
  const destinations: Instances<RpcTarget>[] = [];
  const socketPath = socketPathOf(name, placement);
  if (socketPath !== undefined) openDataDirectory(dirname(socketPath), "directory of sockets");
  const placeOf = (other: ServiceName) => settings.places[other] ?? "nowhere";
  const connectTo = <T extends RpcTarget>(other: ServiceName) => {
    const onStale = (err: FlotillaError) => log.warn({ err }, `the last known instances of ${other} are kept`);
    const directory = openDirectory(placeOf(other), { onProblem: onStale });
    const onProblem = logUnreachable(log);
    const all = connectAll<T>({ name: other, directory, as: { identity, instance: home.instance }, onProblem });
    destinations.push(all as unknown as Instances<RpcTarget>);
    return all;
  };
  const onRefused = countRefusals(metrics, log);
  const seen = { log, logSink, metrics, onRefused, onAnswered, build: readBuild(), destinations };
  return { ...seen, placement, socketPath, settings, identity, onClosed, home, notify, placeOf, connectTo };
}

/** A service that is not up yet, or starts anew, is found again soon: only what a person may have to mend is a warning. */
function logUnreachable(log: Log): (problem: FlotillaError, url: string) => void {
  const warn = makeSparseLog<{ err: FlotillaError; url: string }>(systemClock, ({ err, url }, times) =>
    log.warn({ err, reason: err.reason, url, times }, err.message),
  );
  return (err, url) => (err.reason === "connection_refused" ? log.debug({ url }, err.message) : warn({ err, url }));
}

function countRefusals(metrics: Metrics, log: Log): (refusal: FlotillaError) => void {
  const warn = makeSparseLog<string>(systemClock, (origin, times) =>
    log.warn({ origin, times }, "a web page was refused: FLOTILLA_ORIGINS does not list its origin"),
  );
  return ({ code, reason, cause }) => {
    metrics.refused(code, reason);
    if (reason === "origin_refused" && cause instanceof Error) warn(cause.message);
  };
}

/** Whether an instance can be asked, or why none can. */
export function reachable(instances: Pick<Instances<RpcTarget>, "isOpen" | "report">): boolean | string {
  return instances.isOpen || (instances.report().find(({ away }) => away)?.away ?? false);
}

/** A supervisor repeats notices, and not what is printed. */
function notify(text: string): void {
  process.stdout.write(`${text}\n`);
  process.send?.({ type: "notice", text });
}

async function startOps(host: ServiceHost, service: RunningService): Promise<OpsServer | undefined> {
  const { settings, metrics, build, destinations, logSink } = host;
  const { opsPort } = settings;
  if (opsPort === undefined) return undefined;
  const { version, commit } = build;
  watchFigures(metrics, {
    build,
    busyness: () => service.busyness(),
    instances: () => destinations.flatMap((it) => it.report()),
    repeated: () => Object.fromEntries(destinations.map((it) => [it.name, it.stats().repeated])),
    notRepeated: () => Object.fromEntries(destinations.map((it) => [it.name, it.stats().notRepeated])),
    linesDropped: () => logSink.dropped,
  });
  metrics.watch("held", "What the service holds now, by kind", () => flatten(service.stats()));
  const ops = {
    port: opsPort,
    checks: () => service.checks(),
    metrics: () => metrics.text(),
    metricsType: metrics.contentType,
    about: () => ({ version, commit, uptime: Math.round(build.uptimeMs() / 1_000) }),
  };
  return await serveOps(ops);
}

/** Who looks for us is told as soon as we listen: nobody asks us anything before a session is open. */
function register({ settings, home, log }: ServiceHost, { url }: RunningService): Registration | undefined {
  if (!settings.registration) return undefined;
  const { place, address = url } = settings.registration;
  const onProblem = (err: FlotillaError) => log.warn({ err }, "nobody is told that this instance is there");
  return registerInEtcd(place, { instance: home.instance, address, onProblem });
}

/** `{ server: { sessions: 1 } }` becomes `{ "server.sessions": 1 }`. */
function flatten(stats: Stats, prefix = ""): Record<string, number> {
  const entries = Object.entries(stats).map(([name, value]) =>
    typeof value === "number" ? { [`${prefix}${name}`]: value } : flatten(value, `${prefix}${name}.`),
  );
  return Object.assign({}, ...entries);
}

/** What holds when nothing is overridden; no secret is a setting. A limit that is open prints as null. */
function printConfig(service: ServiceName, settings: Settings): void {
  process.stdout.write(
    `${JSON.stringify({ service, ...settings, limits: { edge: edgeLimits, link: linkLimits, user: userLimits } }, null, 2)}\n`,
  );
}

function readArgs(name: ServiceName, args: readonly string[]) {
  try {
    const options = { help: { type: "boolean", short: "h" }, "print-config": { type: "boolean" } } as const;
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new StartError("bad_settings", `${(error as Error).message}. See: npm run ${name} -- --help`);
  }
}

function usageOf(name: ServiceName): string {
  return `Usage: npm run ${name} [-- --print-config]

Starts the ${topology[name].title} alone, and keeps it running until Ctrl+C. The README lists its settings, which are
environment variables.

Options:
  --print-config   prints the settings and the limits, and starts nothing
`;
}

interface Beside {
  readonly ops: OpsServer | undefined;
  readonly registration: Registration | undefined;
}

function endWithUs({ log }: ServiceHost, service: RunningService, { ops, registration }: Beside): void {
  const stop = async () => {
    // Before anybody new comes; who is there is told by the service itself.
    await registration?.end();
    await service.stop();
    await ops?.close();
  };
  onShutdownSignal(stop);
  // The supervisor is gone without a word: nobody would ever end us.
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  // After a fault that nobody expected the state is not to be trusted: say so, answer what can be answered, and end.
  const onFatal = (fault: unknown) => {
    log.fatal({ err: fault }, "the service ends because of a fault");
    void stop().finally(() => process.exit(exitFailure));
  };
  process.once("uncaughtException", onFatal);
  process.once("unhandledRejection", onFatal);
}
