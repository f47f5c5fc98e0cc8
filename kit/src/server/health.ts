import type { ServerResponse } from "node:http";
import type { Clock } from "../base/clock.ts";
import { loopLagMsMax } from "../base/limits.ts";
import { type Load, makeLoad } from "../resilience/load.ts";
import { watchLoopLag } from "../resilience/loop-lag.ts";
import { answerJson } from "./http.ts";

/** How busy a server is. */
export interface Busyness {
  /** Whether calls are refused because there are more than can be answered. */
  readonly isOverloaded: boolean;
  /** Calls that were refused for that so far. */
  readonly shed: number;
  /** How late the event loop was, at worst, in the last second or two. Milliseconds. */
  readonly loopLagMs: number;
}

/** A service that another one needs, and that is away or does not answer. */
export interface WaitsFor {
  readonly name: string;
  /** For how long; absent when that is not known. Milliseconds. */
  readonly forMs?: number | undefined;
}

/** What a server says of itself. `/healthz` is answered by whoever has an event loop; `/readyz` is about the service. */
export interface Health {
  readonly load: Load;
  busyness(): Busyness;
  answerAlive(response: ServerResponse): void;
  answerReady(response: ServerResponse, isStopping: boolean): void;
  stop(): void;
}

export interface HealthOptions {
  readonly name: string;
  readonly clock: Clock;
  isReady?(): boolean;
  waitsFor?(): readonly WaitsFor[];
  /** Hears what these two throw. */
  report(thrown: unknown): void;
}

export function makeHealth(options: HealthOptions): Health {
  const { name: service, clock } = options;
  const load = makeLoad(clock);
  const lag = watchLoopLag();
  let wasReady = false;
  return {
    load,
    busyness: () => ({ isOverloaded: load.isOverloaded, shed: load.shed, loopLagMs: lag.ms() }),
    answerAlive: (response) => answerJson(response, 200, { status: "ok", service }),
    answerReady(response, isStopping) {
      const status = isStopping ? "draining" : lag.ms() > loopLagMsMax ? "late" : readiness();
      const waitsFor = asked(() => options.waitsFor?.()) ?? [];
      answerJson(response, status === "ready" ? 200 : 503, {
        ...{ status, service },
        ...(waitsFor.length > 0 && { waitsFor }),
      });
    },
    stop: lag.stop,
  };

  /** Who waits for a start goes on waiting; who sees a service that was ready fail looks for the reason. */
  function readiness(): "ready" | "starting" | "unready" {
    if (asked(() => options.isReady?.() ?? true) !== true) return wasReady ? "unready" : "starting";
    wasReady = true;
    return "ready";
  }

  function asked<T>(ask: () => T): T | undefined {
    try {
      return ask();
    } catch (thrown) {
      options.report(thrown);
      return undefined;
    }
  }
}
