import { fileURLToPath } from "node:url";
import type { Environment } from "../service/placement.ts";
import { StartError } from "../service/start-error.ts";
import { type Placement, type ServiceName, serviceNames, topology, urlOf, variablesOf } from "../topology.ts";
import { type Backoff, backoffDefault } from "./backoff.ts";
import type { Report } from "./events.ts";
import { type HeartbeatOptions, heartbeatDefault } from "./heartbeat.ts";
import { type Lock, lockDataDirectory } from "./lock.ts";
import { choosePorts } from "./ports.ts";
import { Service } from "./service.ts";

/** A system that is not ready by then is not going to be. Milliseconds. */
const startMsDefault = 30_000;

/** A service drains in at most 6 s; the others are asked to end after this although one has not. Milliseconds. */
const drainMsDefault = 6_500;

/** What those others are given; then whatever is there is killed. Milliseconds. */
const lastMsDefault = 1_500;

export interface SystemOptions {
  readonly placement: Placement;
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
   * Resolves when every service is ready. Rejects with `StartError` when that cannot be, or when `stop` or `kill` came
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
  readonly urls: Readonly<Record<ServiceName, string>>;
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
  #services: readonly Service[] = [];
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
    for (const service of this.#services) service.kill();
    return this.done;
  }

  async #start(): Promise<Ready> {
    const { placement, startMs = startMsDefault } = this.#options;
    this.#lock = lockDataDirectory(placement.dataDir);
    const at = { ...placement, ports: await choosePorts(placement) };
    if (this.#stopping) throw new StartError("stopped", "The system was stopped before it was ready.");
    this.#services = serviceNames.map((name) => this.#makeService(name, at));
    await this.#allReady(startMs);
    return { urls: { users: urlOf("users", at), orders: urlOf("orders", at), gateway: urlOf("gateway", at) } };
  }

  #makeService(name: ServiceName, at: Placement): Service {
    const { env = {}, report = () => undefined, entryOf = entryPath } = this.#options;
    const { backoff = backoffDefault, heartbeat = heartbeatDefault, random = Math.random } = this.#options;
    const environment = { ...withoutPlaces(env), ...variablesOf(name, at) };
    const place = { name, entry: entryOf(name), env: environment, url: urlOf(name, at) };
    return new Service({ ...place, backoff, heartbeat, random, report });
  }

  async #allReady(startMs: number): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(this.#tooLate(startMs)), startMs);
    try {
      await Promise.race([Promise.all(this.#services.map((service) => service.start())), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #tooLate(startMs: number): StartError {
    const missing = this.#services.filter((service) => !service.wasReady).map((service) => service.name);
    return new StartError("timed_out", `Not ready after ${startMs / 1_000} s: ${missing.join(", ")}`);
  }

  /** Who reaches a service ends before it, so that calls under way are answered by everybody they need. */
  async #stopAll(): Promise<Outcome> {
    const { drainMs = drainMsDefault, lastMs = lastMsDefault } = this.#options;
    const hurry = Promise.withResolvers<void>();
    const hurryLater = setTimeout(hurry.resolve, drainMs);
    const killLater = setTimeout(() => void this.kill(), drainMs + lastMs);
    for (const service of this.#services.toReversed()) {
      service.stop();
      await Promise.race([service.ended, hurry.promise]);
    }
    return this.done.finally(() => {
      clearTimeout(killLater);
      clearTimeout(hurryLater);
    });
  }

  async #ended(): Promise<Outcome> {
    await Promise.all(this.#services.map((service) => service.ended));
    this.#lock?.release();
    return { drained: this.#services.every((service) => service.drained) };
  }
}

function entryPath(name: ServiceName): string {
  return fileURLToPath(new URL(`../${topology[name].entry}`, import.meta.url));
}

/** A service is told where it and whom it reaches are, and no more, whatever the supervisor's environment says. */
function withoutPlaces(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^FLOTILLA_[A-Z]+_(PORT|URL)$/.test(name)));
}
