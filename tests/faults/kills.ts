import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceName } from "../../shop/topology.ts";
import { type Processes, startProcesses, until } from "../process-harness.ts";
import { sendCustomers } from "./customers.ts";
import { type History, violations } from "./history.ts";

export interface KillOptions {
  /** In this order. */
  readonly kills: readonly ServiceName[];
  /** From 0 to 1; decides after how long each comes. */
  random(): number;
  readonly customers: number;
  /** Between a kill's recovery and the next kill: from this to twice of it. Milliseconds. */
  readonly pauseMs: number;
  readonly onKill?: (done: number) => void;
}

export interface Kill {
  readonly service: ServiceName;
  /** From the kill until the service was started again and all were ready. Milliseconds. */
  readonly readyMs: number;
  /** From the kill until the first order was acknowledged that was begun after it. Milliseconds. */
  readonly gapMs: number;
}

export interface KillReport {
  readonly kills: readonly Kill[];
  readonly history: History;
  /** See `violations`. */
  readonly violations: readonly string[];
}

/** Above it the shop is not the subject any more. */
export const ratesMax = { FLOTILLA_RATE_NETWORK: "999999999", FLOTILLA_RATE_USER: "999999999" };

/** `kill -9` again and again while customers order; each process is started again at once, as a supervisor would. */
export async function killUnderLoad(options: KillOptions): Promise<KillReport> {
  await using shop = await startProcesses({ env: ratesMax });
  using customers = await sendCustomers(shop.urls.gateway, options.customers);
  const { history } = customers;
  const kills: Kill[] = [];
  await until(() => history.intents.some(({ acknowledged }) => acknowledged), "an order was acknowledged");
  for (const service of options.kills) {
    await sleep(options.pauseMs * (1 + options.random()));
    kills.push(await killOne(shop, service, history));
    options.onKill?.(kills.length);
  }
  await customers.finish();
  return { kills, history, violations: violations(history, await customers.stored()) };
}

async function killOne(shop: Processes, service: ServiceName, { intents }: History): Promise<Kill> {
  const known = intents.length;
  const killedAtMs = performance.now();
  await shop.kill(service);
  await shop.start(service);
  await shop.ready();
  const readyMs = performance.now() - killedAtMs;
  const first = () => {
    const times = intents.slice(known).flatMap(({ acknowledged }) => acknowledged?.atMs ?? []);
    return times.length === 0 ? undefined : Math.min(...times);
  };
  await until(() => first() !== undefined, `an order was acknowledged after ${service} was killed`);
  return { service, readyMs, gapMs: first()! - killedAtMs };
}
