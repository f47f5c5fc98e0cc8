import { get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

/** One probe may take this long; a service that is busier than that is not ready. Milliseconds. */
const probeMsMax = 1_000;

/** Between two probes, at first: short, because it is lost time of every start. Milliseconds. */
const probeEveryMs = 20;
/** Between two probes of a service that takes long. Milliseconds. */
const probeEveryMsMax = 500;

/** Whether `GET {url}/readyz` answers 200 now. Never throws. */
export function isReady(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(`${url}/readyz`, { agent: false, timeout: probeMsMax }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once("timeout", () => request.destroy());
    request.once("error", () => resolve(false));
    request.once("close", () => resolve(false));
  });
}

/** Resolves when the service is ready; false when `signal` aborted first. */
export async function untilReady(url: string, signal: AbortSignal): Promise<boolean> {
  for (let waitMs = probeEveryMs; !signal.aborted; waitMs = Math.min(waitMs * 1.1, probeEveryMsMax)) {
    if (await isReady(url)) return !signal.aborted;
    await delay(waitMs, undefined, { signal }).catch(() => undefined);
  }
  return false;
}
