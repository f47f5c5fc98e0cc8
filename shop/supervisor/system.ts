import { fileURLToPath } from "node:url";
import type { Environment } from "../service/variables.ts";
import { StartError } from "../service/start-error.ts";
import {
  eachService,
  opsPortVariable,
  type Placement,
  type Placements,
  processNameOf,
  type ServiceName,
  serviceNames,
  topology,
  urlOf,
  variablesOf,
} from "../topology.ts";
import { type Backoff, backoffDefault } from "./backoff.ts";
import type { Report } from "./events.ts";
import { type HeartbeatOptions, heartbeatDefault } from "./heartbeat.ts";
import { type InstanceCounts, oneOfEach } from "./instances.ts";
import { type Lock, lockDataDirectory } from "./lock.ts";
import { choosePorts, portStep } from "./ports.ts";
import { Service } from "./service.ts";

/**
 * For each process, because they start at once and share the machine. A system that is not ready by then is not going to
 * be. Milliseconds.
 */
const startMsEach = 10_000;

/** A service drains in at most 6 s; the others are asked to end after this although one has not. Milliseconds. */
const drainMsDefault = 6_500;

/** What those others are given; then whatever is there is killed. Milliseconds. */
const lastMsDefault = 1_500;

export interface SystemOptions {
  readonly placement: Placement;
  /** Default: one of each service. */
  readonly instances?: InstanceCounts;
  /** What the services inherit besides their configuration. Default: nothing. */
  readonly env?: Environment;
  readonly report?: Report;
  /** The file to run for a service; default: the one in the topology. */
  readonly entryOf?: (name: ServiceName) => string;
  readonly startMs?: number;
  readonly drainMs?: number;
  readonly lastMs?: number;
  readonly backoff?: Backoff;
  readonly heartbeat?: HeartbeatOptions;
  readonly random?: () => number;
}

export interface System {
  /**
   * Resolves when every process is ready. Rejects with `StartError` when that cannot be, or when `stop` or `kill` came
   * first; by then nothing is left running and the data directory is free again.
   */
  readonly ready: Promise<Ready>;
  /** Resolves when everything ended, for whatever cause. Never rejects. */
  readonly done: Promise<Outcome>;
  /** Asks each service in turn to drain and end; what is there after `drainMs` and `lastMs` is killed. Doing it again does nothing. */
  stop(): Promise<Outcome>;
  /** Ends everything now. */
  kill(): Promise<Outcome>;
}

export interface Ready {
  /** By service, where each of its processes is. */
  readonly urls: Readonly<Record<ServiceName, readonly string[]>>;
}

export interface Outcome {
  /** False when a service had to be killed, or ended with an error when it was asked to end. */
  readonly drained: boolean;
}

/** Starts all services at once and keeps them running until it is stopped. One system per data directory. */
export function startSystem(options: SystemOptions): System {
  return new ShopSystem(options);
}

class ShopSystem implements System {
  readonly ready: Promise<Ready>;
  readonly done: Promise<Outcome>;
  readonly #options: SystemOptions;
  #lock: Lock | undefined;
  /** Of each service all its processes. */
  #services: readonly (readonly Service[])[] = [];
  #stopping = false;
  #stopped: Promise<Outcome> | undefined;

  constructor(options: SystemOptions) {
    this.#options = options;
    this.ready = this.#start().catch(async (error: unknown) => {
      void this.stop();
      await this.#ended();
      throw error;
    });
    this.done = this.ready.then(
      () => this.#ended(),
      () => this.#ended(),
    );
  }

  stop(): Promise<Outcome> {
    this.#stopping = true;
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  kill(): Promise<Outcome> {
    this.#stopping = true;
    for (const service of this.#services.flat()) service.kill();
    return this.done;
  }

  async #start(): Promise<Ready> {
    const { placement, instances = oneOfEach } = this.#options;
    this.#lock = lockDataDirectory(
      placement.dataDir,
      ", or choose another directory: FLOTILLA_DATA=/some/where npm start",
    );
    const all = await choosePorts(placement, instances);
    if (this.#stopping) throw new StartError("stopped", "The system was stopped before it was ready.");
    this.#services = serviceNames.map((name) => all[name].map((at) => this.#makeService(name, at, all)));
    await this.#allReady(this.#options.startMs ?? startMsEach * this.#services.flat().length);
    return { urls: eachService((name) => all[name].map((at) => urlOf(name, at))) };
  }

  #makeService(name: ServiceName, at: Placement, all: Placements): Service {
    const { env = {}, report = () => undefined, entryOf = entryPath } = this.#options;
    const { backoff = backoffDefault, heartbeat = heartbeatDefault, random = Math.random } = this.#options;
    const environment = { ...withoutPlaces(env), ...opsPortOf(name, at, env), ...variablesOf(name, at, all) };
    const own = { name: processNameOf(name, at), entry: entryOf(name), env: environment, url: urlOf(name, at) };
    return new Service({ ...own, backoff, heartbeat, random, report });
  }

  async #allReady(startMs: number): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(this.#tooLate(startMs)), startMs);
    try {
      await Promise.race([Promise.all(this.#services.flat().map((service) => service.start())), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #tooLate(startMs: number): StartError {
    const missing = this.#services
      .flat()
      .filter((service) => !service.wasReady)
      .map((service) => service.name);
    return new StartError("timed_out", `Not ready after ${startMs / 1_000} s: ${missing.join(", ")}`);
  }

  /** Who reaches a service ends before it, so that calls under way are answered by everybody they need. */
  async #stopAll(): Promise<Outcome> {
    const { drainMs = drainMsDefault, lastMs = lastMsDefault } = this.#options;
    const hurry = Promise.withResolvers<void>();
    const hurryLater = setTimeout(hurry.resolve, drainMs);
    const killLater = setTimeout(() => void this.kill(), drainMs + lastMs);
    for (const instances of this.#services.toReversed()) {
      for (const service of instances) service.stop();
      await Promise.race([Promise.all(instances.map((service) => service.ended)), hurry.promise]);
    }
    return this.done.finally(() => {
      clearTimeout(killLater);
      clearTimeout(hurryLater);
    });
  }

  async #ended(): Promise<Outcome> {
    const all = this.#services.flat();
    await Promise.all(all.map((service) => service.ended));
    this.#lock?.release();
    return { drained: all.every((service) => service.drained) };
  }
}

function entryPath(name: ServiceName): string {
  return fileURLToPath(new URL(`../${topology[name].entry}`, import.meta.url));
}

/** A service is told where it and whom it reaches are, and no more, whatever the supervisor's environment says. */
function withoutPlaces(env: Environment): Environment {
  const place = /^FLOTILLA_([A-Z]+_(PORT|URL)|INSTANCES?)$/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !place.test(name)));
}

/** As its port, that for operations is so much above the one of the first instance. What is no port, the service refuses. */
function opsPortOf(name: ServiceName, { instance = 1 }: Placement, env: Environment): Environment {
  const variable = opsPortVariable(name);
  const port = Number(env[variable] || 0);
  return Number.isInteger(port) && port > 0 ? { [variable]: String(port + (instance - 1) * portStep) } : {};
}
