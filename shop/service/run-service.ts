import { join } from "node:path";
import {
  FlotillaError,
  type Home,
  type Identity,
  makeHome,
  onShutdownSignal,
  openIdentity,
  reasonOf,
} from "@flotilla/kit";
import { type Placement, type ServiceName, urlOf, urlVariable } from "../topology.ts";
import { openDataDirectory } from "./data-directory.ts";
import { type Log, makeLog } from "./log.ts";
import { type Environment, readPlacement } from "./placement.ts";

/** What a service finds when it starts: the same for each of them. */
export interface ServiceHost {
  readonly placement: Placement;
  /** Ours; made on the first start. */
  readonly identity: Identity;
  readonly home: Home;
  readonly log: Log;
  /** Where another service is reached. */
  urlOf(service: ServiceName): string;
}

export interface RunningService {
  readonly url: string;
  /** What a person at the terminal sees, line by line. */
  readonly banner: readonly string[];
  /** What it holds now: entries in the tables of its sessions, live introductions. */
  stats(): Record<string, unknown>;
  /** Answers what is under way, then lets go of everything. */
  stop(): Promise<void>;
}

/** A port that is taken, or settings that cannot be: nothing was started, and trying again is no use. */
const exitUsage = 2;
const exitFailure = 1;

/**
 * Runs one service as this process: its settings, data directory and key, its banner, and its end by SIGTERM, SIGINT or
 * the death of the supervisor that started it.
 */
export async function runService(
  name: ServiceName,
  env: Environment,
  start: (host: ServiceHost) => Promise<RunningService>,
): Promise<void> {
  try {
    const host = openHost(name, env);
    const service = await start(host);
    endWithUs(host, service);
    process.stdout.write(`${service.banner.join("\n")}\n`);
    process.send?.({ type: "listening", url: service.url });
    process.on("message", (message: { type?: unknown } | null) => {
      if (message?.type === "stats") process.send?.({ type: "stats", stats: service.stats() });
    });
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    if (reasonOf(error) === "port_in_use")
      process.stderr.write(`Choose another with FLOTILLA_${name.toUpperCase()}_PORT.\n`);
    process.exit(error instanceof FlotillaError && error.code === "internal" ? exitFailure : exitUsage);
  }
}

function openHost(name: ServiceName, env: Environment): ServiceHost {
  const placement = readPlacement(env);
  const log = makeLog(name, env.FLOTILLA_LOG_LEVEL || "info");
  const dataDir = openDataDirectory(placement.dataDir);
  const identity = openIdentity(join(dataDir, "keys"), name);
  const home = makeHome({ name, onFault: (fault) => log.error({ err: fault }, "a fault in the service") });
  return { placement, identity, home, log, urlOf: (other) => env[urlVariable(other)] || urlOf(other, placement) };
}

function endWithUs({ log }: ServiceHost, service: RunningService): void {
  onShutdownSignal(() => service.stop());
  // The supervisor is gone without a word: nobody would ever end us.
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  // After a fault that nobody expected the state is not to be trusted: say so, answer what can be answered, and end.
  const onFatal = (fault: unknown) => {
    log.fatal({ err: fault }, "the service ends because of a fault");
    void service.stop().finally(() => process.exit(exitFailure));
  };
  process.once("uncaughtException", onFatal);
  process.once("unhandledRejection", onFatal);
}
