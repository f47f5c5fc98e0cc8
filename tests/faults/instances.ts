import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compileCacheVariables } from "../../shop/compile-cache.js";
import { choosePorts } from "../../shop/supervisor/ports.ts";
import { isReady } from "../../shop/supervisor/readiness.ts";
import {
  eachService,
  type ServiceName,
  serviceNames,
  topology,
  urlOf,
  urlVariable,
  variablesOf,
} from "../../shop/topology.ts";
import { until } from "../process-harness.ts";
import { ratesMax } from "./kills.ts";

export interface InstancesOptions {
  /** Of each service. */
  readonly count: number;
  /** Of all: where the stores are, and other settings. Nobody is limited, and only what is wrong is logged. */
  readonly env: Readonly<Record<string, string>>;
  /** Where each finds the instances of others; default: a list of their addresses. */
  readonly placeOf?: (name: ServiceName) => string;
}

/** Several processes of each service, on one machine. Disposing it stops them all and asserts that each ends in good order. */
export interface ShopInstances extends AsyncDisposable {
  urlsOf(name: ServiceName): string[];
  pidOf(name: ServiceName, index: number): number;
  /** SIGTERM; resolves with the exit code. */
  stop(name: ServiceName, index: number): Promise<number | null>;
  kill(name: ServiceName, index: number): Promise<void>;
  /** Resolves when it answers `/readyz` with 200. */
  start(name: ServiceName, index: number): Promise<void>;
}

interface Running {
  readonly child: ChildProcess;
  readonly closed: Promise<number | null>;
}

export async function startInstances({ count, env, placeOf }: InstancesOptions): Promise<ShopInstances> {
  const dataDir = mkdtempSync(join(tmpdir(), "flotilla-instances-"));
  const anyPorts = eachService(() => 0);
  const all = await choosePorts(
    { mode: "development", host: "127.0.0.1", dataDir, ports: anyPorts },
    eachService(() => count),
  );
  const indexes = Array.from({ length: count }, (_, index) => index);
  const running = new Map<string, Running>();
  const output = new Map<string, string>();
  const keyOf = (name: ServiceName, index: number) => `${name} ${index}`;
  const urlsOf = (name: ServiceName) => all[name].map((at) => urlOf(name, at));
  const shop: ShopInstances = {
    urlsOf,
    pidOf: (name, index) => running.get(keyOf(name, index))!.child.pid!,
    start,
    stop: (name, index) => end(name, index, "SIGTERM"),
    kill: async (name, index) => void (await end(name, index, "SIGKILL")),
    [Symbol.asyncDispose]: dispose,
  };
  try {
    // One after the other: the first of each makes the keys and the tables.
    for (const name of serviceNames) for (const index of indexes) await start(name, index);
  } catch (error) {
    await removeAll();
    throw error;
  }
  return shop;

  async function start(name: ServiceName, index: number): Promise<void> {
    const key = keyOf(name, index);
    const at = all[name][index]!;
    const places = placeOf && topology[name].reaches.map((other) => [urlVariable(other), placeOf(other)]);
    const entry = fileURLToPath(new URL(`../../shop/${topology[name].entry}`, import.meta.url));
    const child = spawn(process.execPath, [entry], {
      env: {
        ...compileCacheVariables(),
        ...ratesMax,
        FLOTILLA_LOG_LEVEL: "warn",
        ...env,
        ...variablesOf(name, at, all),
        ...(places && Object.fromEntries(places)),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const note = (chunk: Buffer) => output.set(key, ((output.get(key) ?? "") + chunk.toString()).slice(-10_000));
    child.stdout.on("data", note);
    child.stderr.on("data", note);
    const closed = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
    running.set(key, { child, closed });
    let hasEnded = false;
    void closed.then(() => {
      hasEnded = true;
    });
    await until(async () => {
      if (hasEnded) throw new Error(`${key} ended before it was ready:\n${output.get(key)}`);
      return await isReady(urlOf(name, at));
    }, `${key} is ready`);
  }

  async function end(name: ServiceName, index: number, signal: NodeJS.Signals): Promise<number | null> {
    const key = keyOf(name, index);
    const { child, closed } = running.get(key)!;
    running.delete(key);
    child.kill(signal);
    return await closed;
  }

  async function dispose(): Promise<void> {
    try {
      for (const name of serviceNames.toReversed()) {
        for (const index of indexes) {
          if (!running.has(keyOf(name, index))) continue;
          const code = await end(name, index, "SIGTERM");
          if (code !== 0)
            throw new Error(`${keyOf(name, index)} ended with ${code}:\n${output.get(keyOf(name, index))}`);
        }
      }
    } finally {
      await removeAll();
    }
  }

  async function removeAll(): Promise<void> {
    for (const { child } of running.values()) child.kill("SIGKILL");
    await Promise.all([...running.values()].map(({ closed }) => closed));
    rmSync(dataDir, { recursive: true, force: true });
  }
}
