import { type ChildProcess, type Serializable, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import type { Memory } from "./ours/memory.ts";
import type { Load, RunAnswer, RunResult } from "./run.ts";
import type { Variant } from "./variants.ts";
import { orderFile, type StoreKind } from "./work.ts";

/** Longer than anything here takes on a busy machine. Milliseconds. */
const patienceMs = 20_000;

const collector = new URL("collector.ts", import.meta.url).href;
const services = ["users", "orders", "gateway"] as const;
type Service = (typeof services)[number];

/** The processes of one variant on one store, and its load process. */
export interface System extends AsyncDisposable {
  readonly variant: Variant;
  readonly addresses: Readonly<Record<Service, string>>;
  /** Of the servers. */
  readonly pids: readonly number[];
  /** Rejects when the load process could not offer the load at all. */
  run(load: Load): Promise<RunResult>;
  /** Of each server, after a collection of its garbage. Only ours answer. */
  memories(): Promise<Readonly<Record<Service, Memory>>>;
  /**
   * Ends all processes. Resolves when they are gone.
   * @throws Error when not every acknowledged order is in the store, or a process did not end in good order.
   */
  stop(): Promise<Counts>;
}

/** A store may have kept orders whose answer was a failure, and never fewer than were acknowledged. */
export interface Counts {
  readonly acknowledged: number;
  readonly stored: number;
}

export interface SystemOptions {
  readonly variant: Variant;
  readonly store: StoreKind;
  /** A folder for the CPU profiles of the servers; undefined for none. */
  readonly profileTo?: string | undefined;
}

/** Disposing a system that was not stopped kills its processes. */
export async function startSystem({ variant, store, profileTo }: SystemOptions): Promise<System> {
  const dataDir = mkdtempSync(join(tmpdir(), `bench-${variant.name}-`));
  const children = new Map<string, Child>();
  let acknowledged = 0;
  const environment = {
    PATH: process.env.PATH ?? "",
    NODE_ENV: "production",
    BENCH_STORE: store,
    BENCH_DATA: dataDir,
    ...variant.env,
  };
  try {
    const users = await startService("users", {});
    const orders = await startService("orders", { BENCH_USERS: users });
    const gateway = await startService("gateway", { BENCH_USERS: users, BENCH_ORDERS: orders });
    await start("load", "load.ts", { BENCH_FOLDER: variant.folder, BENCH_GATEWAY: gateway });
    return {
      variant,
      addresses: { users, orders, gateway },
      pids: services.map((service) => children.get(service)!.process.pid!),
      run,
      memories,
      stop,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }

  async function startService(service: Service, env: NodeJS.ProcessEnv): Promise<string> {
    const profileDir = profileTo && join(profileTo, service);
    if (profileDir) mkdirSync(profileDir, { recursive: true });
    const flags = profileDir ? ["--cpu-prof", `--cpu-prof-dir=${profileDir}`, "--import", collector] : [];
    const collected = profileDir && { BENCH_COLLECTOR: join(profileDir, "collector.txt") };
    // The shop calls its address a URL.
    const { address, url } = await start(
      service,
      join(variant.folder, `${service}.ts`),
      { ...env, ...collected },
      flags,
    );
    return `${address ?? url}`;
  }

  /** @returns the first message of the process. */
  async function start(
    name: string,
    file: string,
    env: NodeJS.ProcessEnv,
    flags: readonly string[] = [],
  ): Promise<{ address?: unknown; url?: unknown }> {
    const child = startChild(`${variant.name} ${name}`, [...flags, fileURLToPath(new URL(file, import.meta.url))], {
      ...environment,
      ...env,
    });
    children.set(name, child);
    return (await child.next(() => true)) as object;
  }

  async function run(load: Load): Promise<RunResult> {
    const child = children.get("load")!;
    const answered = child.next(() => true, patienceMs + load.seconds * 2_000);
    child.process.send({ type: "run", load, pids: services.map((service) => children.get(service)!.process.pid) });
    const answer = (await answered) as RunAnswer;
    if (answer.type === "failed") throw new Error(`${variant.name}: ${answer.message}`);
    acknowledged = answer.acknowledged;
    return answer.result;
  }

  async function stop(): Promise<Counts> {
    try {
      const inMemory = store === "memory" ? await askCount() : undefined;
      await children.get("load")!.end();
      for (const service of services.toReversed()) await children.get(service)!.end();
      const stored = inMemory ?? countIn(orderFile(dataDir));
      if (stored < acknowledged) {
        throw new Error(`${variant.name}: ${acknowledged} orders were acknowledged, and ${stored} are in the store`);
      }
      return { acknowledged, stored };
    } finally {
      await dispose();
    }
  }

  async function memories(): Promise<Record<Service, Memory>> {
    const [users, orders, gateway] = await Promise.all(
      services.map((service) => ask<{ memory: Memory }>(service, "memory")),
    );
    return { users: users!.memory, orders: orders!.memory, gateway: gateway!.memory };
  }

  async function askCount(): Promise<number> {
    return (await ask<{ count: number }>("orders", "count")).count;
  }

  async function ask<T>(service: Service, type: string): Promise<T> {
    const child = children.get(service)!;
    const answered = child.next((message) => (message as { type?: unknown }).type === type);
    child.process.send({ type });
    return (await answered) as T;
  }

  /** The directory last: a dying process may still write to it. */
  async function dispose(): Promise<void> {
    for (const child of children.values()) child.process.kill("SIGKILL");
    await Promise.all([...children.values()].map(({ closed }) => closed));
    rmSync(dataDir, { recursive: true, force: true });
  }
}

interface Child {
  readonly process: ChildProcess;
  readonly closed: Promise<unknown>;
  /** The next message that `isWanted`. Rejects when the process ends before, or says nothing for too long. */
  next(isWanted: (message: Serializable) => boolean, waitMs?: number): Promise<Serializable>;
  /** SIGTERM, to the load process a disconnect; resolves when it is gone. @throws if it does not go. */
  end(): Promise<void>;
}

function startChild(name: string, args: readonly string[], env: NodeJS.ProcessEnv): Child {
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const closed = new Promise((resolve) => child.once("close", resolve));
  return {
    process: child,
    closed,
    next: (isWanted, waitMs = patienceMs) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${name} did not answer within ${waitMs} ms`)), waitMs);
        void closed.then((code) => reject(new Error(`${name} ended with ${code}`)));
        child.on("message", function onMessage(message) {
          if (!isWanted(message)) return;
          clearTimeout(timer);
          child.off("message", onMessage);
          resolve(message);
        });
      }),
    async end() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), patienceMs);
      await closed;
      clearTimeout(timer);
      if (child.signalCode === "SIGKILL") throw new Error(`${name} did not end`);
    },
  };
}

function countIn(file: string): number {
  using db = new DatabaseSync(file);
  return Number(db.prepare("SELECT count(*) AS n FROM orders").get()?.n);
}
