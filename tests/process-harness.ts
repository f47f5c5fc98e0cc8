import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { compileCacheVariables } from "../shop/compile-cache.js";
import { choosePorts } from "../shop/supervisor/ports.ts";
import { isReady } from "../shop/supervisor/readiness.ts";
import {
  eachService,
  type Mode,
  type Placement,
  type ServiceName,
  serviceNames,
  topology,
  urlOf,
  variablesOf,
} from "../shop/topology.ts";
import type { Failpoint } from "./process/failpoint.ts";
import type { Memory, Probe } from "./process/probe.ts";

/** Longer than anything here takes on a busy machine; what is not there by then does not come. Milliseconds. */
const patienceMs = 30_000;
const pollMs = 10;

export interface Tables {
  readonly sessions?: number;
  readonly imports: number;
  readonly exports: number;
}

/** What a service's `stats` message answers; see its main.ts. */
export interface Stats {
  readonly server: Tables;
  readonly home?: { readonly deposits: number; readonly parked: number };
  readonly revokers?: number;
  readonly users?: Tables;
  readonly orders?: Tables;
  readonly introductions?: number;
  readonly loans?: number;
}

export interface Processes extends AsyncDisposable {
  readonly urls: Readonly<Record<ServiceName, string>>;
  readonly dataDir: string;
  /** Resolves when the service listens. */
  start(name: ServiceName): Promise<void>;
  /** Resolves when all that run answer `/readyz` with 200. */
  ready(): Promise<void>;
  /** `kill -9`; resolves when the process is gone. */
  kill(name: ServiceName): Promise<void>;
  /** Sets the wall clock of every service that runs, to be wrong by so much from now on. Milliseconds. */
  stepClocks(wrongByMs: number): Promise<void>;
  /** Has the service killed at a step, by itself; resolves when that is arranged. */
  arm(name: ServiceName, point: Failpoint): Promise<void>;
  /** Resolves when the service has ended without being asked to. */
  ended(name: ServiceName): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(name: ServiceName): Promise<number | null>;
  stats(name: ServiceName): Promise<Stats>;
  /** What lives in the process, counted after a full collection. */
  probe(name: ServiceName): Promise<Probe>;
  memory(name: ServiceName): Promise<Memory>;
  pidOf(name: ServiceName): number | undefined;
  /** Everything the service has written. */
  output(name: ServiceName): string;
}

export interface ProcessesOptions {
  readonly mode?: Mode;
  /** In this order, each when the one before listens; default: all at once. */
  readonly start?: readonly ServiceName[];
  /** Where the services meet at Unix sockets; default: over TCP. */
  readonly socketDir?: string;
  /** In which directory that of the data is made; default: the system's for temporary files. */
  readonly dataParent?: string;
  /** Fills the data directory before anything starts. */
  readonly prepare?: (dataDir: string) => Promise<unknown>;
  /** Settings of these processes, beside their places. */
  readonly env?: Readonly<Record<string, string>>;
  /** Settings of one of them, in place of those it would have; asked once, when all places are known. */
  readonly envOf?: (name: ServiceName, at: Placement) => Record<string, string> | Promise<Record<string, string>>;
}

interface Child {
  readonly process: ChildProcess;
  readonly closed: Promise<number | null>;
}

/**
 * The real processes on free ports with data of their own. Disposing it stops them and asserts that they end in good
 * order, that their ports are free, and that nothing is left in the data directory but keys and stores.
 */
export async function startProcesses({
  mode = "development",
  start,
  socketDir,
  dataParent = tmpdir(),
  env = {},
  envOf = () => ({}),
  prepare,
}: ProcessesOptions = {}): Promise<Processes> {
  const dataDir = mkdtempSync(join(dataParent, "flotilla-test-"));
  const host = "127.0.0.1";
  const all = await choosePorts({ mode, host, dataDir, socketDir, ports: eachService(() => 0) });
  const placement = all.gateway[0]!;
  await prepare?.(dataDir);
  const own = new Map<ServiceName, Record<string, string>>();
  for (const name of serviceNames) own.set(name, await envOf(name, placement));
  const children = new Map<ServiceName, Child>();
  const outputs = new Map<ServiceName, string>();
  const processes: Processes = {
    dataDir,
    urls: eachService((name) => urlOf(name, placement)),
    start: startOne,
    ready: async () => {
      const urls = [...children.keys()].map((name) => urlOf(name, placement));
      await until(async () => (await Promise.all(urls.map(isReady))).every(Boolean), "all are ready");
    },
    kill: async (name) => void (await end(name, "SIGKILL")),
    stepClocks: async (wrongByMs) =>
      void (await Promise.all([...children.keys()].map((name) => ask(name, "clock", { wrongByMs })))),
    arm: async (name, point) => void (await ask(name, "failpoint", { point })),
    ended: async (name) => {
      const { process } = children.get(name)!;
      await until(() => process.exitCode !== null || process.signalCode !== null, `${name} has ended`);
      await processes.kill(name);
    },
    stop: (name) => end(name, "SIGTERM"),
    stats: async (name) => ((await ask(name, "stats")) as { stats: Stats }).stats,
    probe: async (name) => ((await ask(name, "probe")) as { probe: Probe }).probe,
    memory: async (name) => ((await ask(name, "memory")) as { memory: Memory }).memory,
    pidOf: (name) => children.get(name)?.process.pid,
    output: (name) => outputs.get(name) ?? "",
    [Symbol.asyncDispose]: dispose,
  };
  try {
    if (start) for (const name of start) await startOne(name);
    else await Promise.all(serviceNames.map(startOne));
    if (children.size === serviceNames.length) await processes.ready();
  } catch (error) {
    await removeAll();
    throw error;
  }
  return processes;

  function startOne(name: ServiceName): Promise<void> {
    const child = spawn(
      process.execPath,
      ["--import", fileURLToPath(new URL("process/probe.ts", import.meta.url)), entryOf(name)],
      {
        env: { ...compileCacheVariables(), ...env, ...variablesOf(name, placement), ...own.get(name) },
        stdio: ["ignore", "pipe", "pipe", "ipc"],
      },
    );
    const note = (chunk: Buffer) => outputs.set(name, (outputs.get(name) ?? "") + chunk.toString());
    child.stdout?.on("data", note);
    child.stderr?.on("data", note);
    const closed = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
    children.set(name, { process: child, closed });
    return new Promise((resolve, reject) => {
      child.on("message", (message) => {
        if (typeOf(message) === "listening") resolve();
      });
      void closed.then((code) =>
        reject(new Error(`${name} ended with ${code} before it listened:\n${outputs.get(name)}`)),
      );
    });
  }

  async function end(name: ServiceName, signal: NodeJS.Signals): Promise<number | null> {
    const child = children.get(name);
    if (!child) throw new Error(`${name} does not run`);
    children.delete(name);
    child.process.kill(signal);
    return child.closed;
  }

  function ask(
    name: ServiceName,
    type: "stats" | "probe" | "memory" | "failpoint" | "clock",
    more: object = {},
  ): Promise<unknown> {
    const child = children.get(name)?.process;
    if (!child) throw new Error(`${name} does not run`);
    return new Promise((resolve, reject) => {
      const onMessage = (message: unknown) => {
        if (typeOf(message) !== type) return;
        child.off("message", onMessage);
        resolve(message);
      };
      child.on("message", onMessage);
      child.send({ type, ...more }, (error) => error && reject(error));
    });
  }

  async function dispose(): Promise<void> {
    try {
      // As the supervisor does it: who reaches a service ends before it.
      for (const name of serviceNames.toReversed()) {
        if (!children.has(name)) continue;
        const code = await processes.stop(name);
        if (code !== 0) throw new Error(`${name} ended with ${code}:\n${outputs.get(name)}`);
      }
      await Promise.all(serviceNames.map((name) => expectFree(placement.ports[name])));
      const stray = strayFilesIn(dataDir);
      if (stray.length > 0) throw new Error(`Left in the data directory: ${stray.join(", ")}`);
    } finally {
      await removeAll();
    }
  }

  /** What is still there, on every path; the directory last, because a dying process may still write to it. */
  async function removeAll(): Promise<void> {
    for (const child of children.values()) child.process.kill("SIGKILL");
    await Promise.all([...children.values()].map(({ closed }) => closed));
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const expectedFiles =
  /^(supervisor\.lock|keys|keys\/(users|orders|gateway|operator)\.key|keys\/trusted-keys|token-keys|token-keys\/\d+\.[\w-]{16}\.key|(users|orders)\.(db|store))$/;

/** What a shop that has ended should not have left in its data directory. */
export function strayFilesIn(dataDir: string): string[] {
  return readdirSync(dataDir, { recursive: true, encoding: "utf8" }).filter((file) => !expectedFiles.test(file));
}

/** Waits until `condition` holds, looking every few milliseconds; fails naming `what` when it does not come to hold. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endMs = performance.now() + patienceMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`Not within ${patienceMs} ms: ${what}`);
    await delay(pollMs);
  }
}

/** The same for a value that has to become equal; shows the last one when it does not. */
export async function untilEqual<T>(read: () => T | Promise<T>, expected: T): Promise<void> {
  let last: T | undefined;
  const wanted = JSON.stringify(expected);
  try {
    await until(async () => {
      last = await read();
      return JSON.stringify(last) === wanted;
    }, "equal");
  } catch {
    throw new Error(`Expected ${wanted}\nand it stays ${JSON.stringify(last)}`);
  }
}

function entryOf(name: ServiceName): string {
  return fileURLToPath(new URL(`../shop/${topology[name].entry}`, import.meta.url));
}

function typeOf(message: unknown): unknown {
  return typeof message === "object" && message !== null && "type" in message ? message.type : undefined;
}

/** Rejects when somebody listens there. */
export function expectFree(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve()));
  });
}
