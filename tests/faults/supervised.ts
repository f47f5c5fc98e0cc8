import { mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { choosePorts } from "../../shop/supervisor/ports.ts";
import { isReady } from "../../shop/supervisor/readiness.ts";
import {
  eachService,
  opsPortVariable,
  type Placement,
  portVariable,
  type ServiceName,
  serviceNames,
} from "../../shop/topology.ts";
import { isAlive, npmStart } from "../npm-start.ts";
import { doorsVariable, type Harm } from "../process/harm.ts";
import { until } from "../process-harness.ts";
import { ratesMax } from "./kills.ts";

/** `npm start` as it is, with real services that do to themselves what a test asks for. */
export interface Supervised extends AsyncDisposable {
  readonly urls: Readonly<Record<ServiceName, string>>;
  /** Where the service is asked for its metrics. */
  readonly opsUrls: Readonly<Record<ServiceName, string>>;
  /** Resolves when the service has begun; with its process id. */
  harm(name: ServiceName, harm: Harm): Promise<number>;
  /** Resolves when a process of the service is ready that is not `pid`. */
  restarted(name: ServiceName, pid: number): Promise<void>;
  /** What was read of it so far. */
  output(): string;
  /** Whether somebody reads what it writes; somebody does at first. */
  read(isRead: boolean): void;
}

const host = "127.0.0.1";

/** @param heapMegabytes what each process may have on its heap. */
export async function startSupervised(heapMegabytes: number): Promise<Supervised> {
  const dataDir = mkdtempSync(join(tmpdir(), "flotilla-supervised-"));
  const doors = mkdtempSync(join(tmpdir(), "flotilla-doors-"));
  const at: Placement = { mode: "development", host, dataDir, ports: eachService(() => 0) };
  const free = await choosePorts(
    at,
    eachService(() => 2),
  );
  const ports = eachService((name) => free[name][0]!.ports[name]);
  const opsPorts = eachService((name) => free[name][1]!.ports[name]);
  const harmModule = fileURLToPath(new URL("../process/harm.ts", import.meta.url));
  const env: Record<string, string> = {
    ...ratesMax,
    FLOTILLA_DATA: dataDir,
    NODE_OPTIONS: `--import ${harmModule} --max-old-space-size=${heapMegabytes}`,
    [doorsVariable]: doors,
  };
  for (const name of serviceNames) {
    env[portVariable(name)] = `${ports[name]}`;
    env[opsPortVariable(name)] = `${opsPorts[name]}`;
  }
  const urlsOf = (of: typeof ports) => eachService((name) => `http://${host}:${of[name]}`);
  const urls = urlsOf(ports);
  const harm = (name: ServiceName, what: Harm) => knock(join(doors, `${name}.sock`), what);
  const removeAll = () => {
    for (const directory of [dataDir, doors]) rmSync(directory, { recursive: true, force: true });
  };
  const started = await npmStart([], env).catch((error: unknown) => {
    removeAll();
    throw error;
  });
  return {
    urls,
    opsUrls: urlsOf(opsPorts),
    harm,
    restarted: (name, pid) =>
      until(async () => {
        const now = await harm(name, "pid").catch(() => pid);
        return now !== pid && (await isReady(urls[name]));
      }, `${name} was started again`),
    output: started.output,
    read: (isRead) => {
      for (const stream of started.streams) {
        if (isRead) stream.resume();
        else stream.pause();
      }
    },
    async [Symbol.asyncDispose]() {
      const known = await Promise.allSettled(serviceNames.map((name) => harm(name, "pid")));
      await started.stop().finally(removeAll);
      const pids = known.flatMap((it) => (it.status === "fulfilled" ? [it.value] : []));
      const left = pids.filter(isAlive);
      if (left.length > 0) throw new Error(`It left ${left.length} processes`);
    },
  };
}

function knock(socketPath: string, what: Harm): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get({ socketPath, path: `/${what}`, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.once("end", () => resolve(Number(text)));
      response.once("error", reject);
    });
    request.once("error", reject);
  });
}
