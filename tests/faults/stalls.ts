import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "@flotilla/kit";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import { isReady } from "../../shop/supervisor/readiness.ts";
import { startProcesses, until } from "../process-harness.ts";
import { sendCustomers } from "./customers.ts";
import { type History, violations } from "./history.ts";
import { ratesMax } from "./kills.ts";

/** Those whose loss the gateway notices by itself, and what goes on without each. */
export type Stalled = "users" | "orders";

export interface Stall {
  readonly service: Stalled;
  /** From SIGSTOP until the gateway said that it is not ready. Milliseconds. */
  readonly noticedMs: number;
  /** From SIGCONT until an order was acknowledged that was begun after it. Milliseconds. */
  readonly resumedMs: number;
  /** Of calls that need not the stalled service: without a stall, and during it. Milliseconds each. */
  readonly besideMs: { readonly before: readonly number[]; readonly during: readonly number[] };
}

export interface StallReport {
  readonly stalls: readonly Stall[];
  readonly history: History;
  /** See `violations`. */
  readonly violations: readonly string[];
}

/** How long a service stays stopped after that was noticed. Milliseconds. */
const stalledMs = 1_000;
const pollMs = 5;

/** SIGSTOP and SIGCONT while customers order: to its peers a process that is there, and says nothing. */
export async function stallUnderLoad(services: readonly Stalled[], customerCount: number): Promise<StallReport> {
  await using shop = await startProcesses({ env: ratesMax });
  using customers = await sendCustomers(shop.urls.gateway, customerCount);
  using bystander = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
  const { history } = customers;
  const stalls: Stall[] = [];
  await until(() => history.intents.some(({ acknowledged }) => acknowledged), "an order was acknowledged");
  const { token } = await bystander.main.login("bob", "password");
  for (const service of services) stalls.push(await stall(service));
  await customers.finish();
  return { stalls, history, violations: violations(history, await customers.stored()) };

  async function stall(service: Stalled): Promise<Stall> {
    // What stays whole: the profile without the Order Service; without the User Service the gateway alone.
    const beside =
      service === "orders" ? () => bystander.main.getUserProfile(token) : () => fetch(`${shop.urls.gateway}/healthz`);
    const before = await timesOf(
      beside,
      sleep(stalledMs + 3_000).then(() => true),
    );
    const pid = shop.pidOf(service)!;
    const stoppedAtMs = performance.now();
    process.kill(pid, "SIGSTOP");
    let noticedMs: number;
    let during: number[];
    try {
      const noticed = until(
        async () => !(await isReady(shop.urls.gateway)),
        `the gateway noticed that ${service} stalled`,
      ).then(() => performance.now() - stoppedAtMs);
      during = await timesOf(beside, noticed);
      noticedMs = await noticed;
      await sleep(stalledMs);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    const continuedAtMs = performance.now();
    const known = history.intents.length;
    await shop.ready();
    await until(() => history.intents.slice(known).some((it) => it.acknowledged), "orders are acknowledged again");
    return { service, noticedMs, resumedMs: performance.now() - continuedAtMs, besideMs: { before, during } };
  }
}

/** How long `call` takes, again and again until `end`. Milliseconds. */
async function timesOf(call: () => PromiseLike<unknown>, end: Promise<unknown>): Promise<number[]> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  end.then(over, over);
  const times: number[] = [];
  while (!isOver) {
    const startedAtMs = performance.now();
    await call();
    times.push(performance.now() - startedAtMs);
    await sleep(pollMs);
  }
  return times;
}
