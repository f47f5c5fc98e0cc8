import { setTimeout as delay } from "node:timers/promises";
import { CliError } from "./cli-error.ts";

/** Long enough for a busy gateway on this machine, short enough not to be noticed when there is none. Milliseconds. */
const probeMsMax = 1_500;
/** Between two questions whether a gateway is ready. Milliseconds. */
const pauseMs = 100;

export interface FindOptions {
  /** Longest wait for a gateway that is not ready. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Called once, when the wait begins. @param state such as `starting` */
  readonly onWait: (state: string) => void;
}

/**
 * Whether a gateway of ours is at `url`. One that answers and is not ready is waited for.
 * @throws CliError `unavailable` when it is not ready in time. @throws AbortError when `signal` aborts the wait.
 */
export async function findGateway(url: string, { timeoutMs, signal, onWait }: FindOptions): Promise<boolean> {
  const endMs = performance.now() + timeoutMs;
  let last: string | undefined;
  for (;;) {
    const state = await stateAt(url, signal);
    if (state === "ready") return true;
    if (last === undefined) {
      if (state === undefined) return false;
      onWait(state);
    }
    last = state ?? last;
    if (performance.now() > endMs) {
      const hint = "`flotilla status` shows what it waits for";
      throw new CliError("unavailable", `The gateway at ${url} is not ready (${last})`, { reason: "not_ready", hint });
    }
    await delay(pauseMs, undefined, { signal });
  }
}

/** The state of the gateway at `url`. Never rejects: any other answer, or none, is undefined. */
async function stateAt(url: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const probe = AbortSignal.any([signal, AbortSignal.timeout(probeMsMax)]);
    const response = await fetch(`${url}/readyz`, { signal: probe, redirect: "error" });
    const { service, status } = Object(await response.json()) as Record<string, unknown>;
    if (service !== "gateway") return undefined;
    return response.ok ? "ready" : String(status);
  } catch {
    return undefined;
  }
}
