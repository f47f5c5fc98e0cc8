import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Environment } from "../service/variables.ts";
import { type Outcome, type SystemOptions, startSystem } from "../supervisor/system.ts";
import { eachService } from "../topology.ts";

export interface PrivateSystem {
  /** Resolves with the address of its gateway. Rejects with `StartError`. */
  readonly url: Promise<string>;
  /** Ends it and removes its data, whether or not it was ready. Doing it again does nothing. */
  stop(): Promise<Outcome>;
  kill(): Promise<Outcome>;
}

/** The whole shop on free ports, with data of its own that is gone afterwards. The caller stops it on every path. */
export function startPrivateSystem(env: Environment, options: Pick<SystemOptions, "entryOf"> = {}): PrivateSystem {
  const dataDir = mkdtempSync(join(tmpdir(), "flotilla-demo-"));
  const ports = eachService(() => 0);
  const system = startSystem({
    ...options,
    placement: { mode: "development", host: "127.0.0.1", ports, dataDir },
    env,
  });
  const removed = system.done.then(async (outcome) => {
    await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
    return outcome;
  });
  return {
    url: system.ready.then(({ urls }) => urls.gateway[0]!),
    stop() {
      void system.stop();
      return removed;
    },
    kill() {
      void system.kill();
      return removed;
    },
  };
}
