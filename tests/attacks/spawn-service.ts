import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { compileCacheVariables } from "../../shop/compile-cache.js";
import { type ServiceName, topology } from "../../shop/topology.ts";

/** A service of the shop started by hand, with settings that the process harness does not give. */
export interface Spawned extends AsyncDisposable {
  readonly url: string;
  /** Of its listener for operators, if its settings ask for one. */
  readonly opsUrl: string | undefined;
}

/** Resolves when it listens. Disposing it stops it in good order. */
export async function spawnService(name: ServiceName, env: Readonly<Record<string, string>>): Promise<Spawned> {
  const { child, closed, output } = run(name, env);
  const listening = new Promise<{ url: string; opsUrl?: string }>((resolve) => {
    child.on("message", (message: { type?: unknown; url: string; opsUrl?: string }) => {
      if (message.type === "listening") resolve(message);
    });
  });
  const early = closed.then((code) => {
    throw new Error(`${name} ended with ${code} before it listened:\n${output()}`);
  });
  early.catch(() => {});
  const { url, opsUrl } = await Promise.race([listening, early]);
  return {
    url,
    opsUrl,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      const code = await closed;
      if (code !== 0) throw new Error(`${name} ended with ${code}:\n${output()}`);
    },
  };
}

/** Starts a service that is to refuse. @returns its exit code and what it wrote; kills one that runs nevertheless. */
export async function refusedStart(
  name: ServiceName,
  env: Readonly<Record<string, string>>,
): Promise<{ code: number | null; output: string }> {
  const { child, closed, output } = run(name, env);
  child.on("message", () => child.kill("SIGKILL"));
  const code = await closed;
  return { code, output: output() };
}

function run(name: ServiceName, env: Readonly<Record<string, string>>) {
  const entry = fileURLToPath(new URL(`../../shop/${topology[name].entry}`, import.meta.url));
  const child = spawn(process.execPath, [entry], {
    env: { ...compileCacheVariables(), ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
  }
  const closed = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
  return { child, closed, output: () => text };
}
