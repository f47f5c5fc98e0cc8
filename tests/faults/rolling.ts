import { setTimeout as sleep } from "node:timers/promises";
import { connectAll } from "@flotilla/kit";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import { type ServiceName, serviceNames } from "../../shop/topology.ts";
import { startPostgres } from "../postgres.ts";
import { startInstances } from "./instances.ts";
import { sendOrderers } from "./orderers.ts";

export interface RollingOptions {
  /** How often every instance of every service is restarted. */
  readonly rounds: number;
  readonly customers: number;
  /** Between two restarts. Milliseconds. */
  readonly pauseMs: number;
  readonly onRestart?: (done: number) => void;
}

export interface Restart {
  readonly service: ServiceName;
  /** From SIGTERM until the process had ended, and from then until the next one was ready. Milliseconds. */
  readonly drainMs: number;
  readonly readyMs: number;
}

export interface RollingReport {
  readonly restarts: readonly Restart[];
  /** Orders that were acknowledged at their first call, which is repeatable. */
  readonly acknowledged: number;
  /** Calls that failed, by code and reason. */
  readonly failed: ReadonlyMap<string, number>;
  /** How long an order took, in order of time. Milliseconds. */
  readonly latenciesMs: readonly number[];
  /** See `violations`. */
  readonly violations: readonly string[];
}

/**
 * Two instances of each service on PostgreSQL: each is told to stop and started anew, one after the other, while customers
 * order. Their connection knows both gateways, and each order has its key.
 */
export async function rollUnderLoad({ rounds, customers, pauseMs, onRestart }: RollingOptions): Promise<RollingReport> {
  await using postgres = await startPostgres();
  await using shop = await startInstances({ count: 2, env: postgres.stores() });
  using gateway = connectAll<Gateway>({ name: "gateway", urls: shop.urlsOf("gateway") });
  await gateway.opened();
  const orderers = await sendOrderers(gateway, customers);
  const restarts: Restart[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const service of serviceNames) {
      for (const index of [0, 1]) {
        await orderers.more();
        await sleep(pauseMs);
        const stoppedAtMs = performance.now();
        const code = await shop.stop(service, index);
        if (code !== 0) throw new Error(`${service} ended with ${code}`);
        const endedAtMs = performance.now();
        await shop.start(service, index);
        const readyMs = performance.now() - endedAtMs;
        restarts.push({ service, drainMs: endedAtMs - stoppedAtMs, readyMs });
        onRestart?.(restarts.length);
      }
    }
  }
  await orderers.more();
  const found = await orderers.finish();
  const { acknowledged, failed, latenciesMs } = orderers;
  return { restarts, acknowledged, failed, latenciesMs, violations: found };
}
