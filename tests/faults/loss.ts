// Run by loss.slow.test.ts in a network of its own (`unshare --net`), whose loopback loses packets: prints a report as JSON.
import { execFileSync, spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { startProcesses, until } from "../process-harness.ts";
import { sendCustomers } from "./customers.ts";
import { quantile, violations } from "./history.ts";
import { ratesMax } from "./kills.ts";

export interface LossReport {
  readonly stages: readonly {
    /** Of 100 packets, in each direction. */
    readonly lost: number;
    readonly placed: number;
    /** Attempts that failed, each of which was made again. */
    readonly failed: number;
    /** What an order took. Milliseconds. */
    readonly p50Ms: number;
    readonly p99Ms: number;
  }[];
  /** See `violations`. */
  readonly violations: readonly string[];
}

/** Whether this machine lets us: Linux, root, and a `tc` that filters by programs of BPF. */
export function canLosePackets(): boolean {
  if (process.platform !== "linux") return false;
  const commands = [clsact, filterOf(1)].map((words) => `tc ${words.map((word) => `'${word}'`).join(" ")}`);
  return spawnSync("unshare", ["--net", "sh", "-c", commands.join(" && ")], { stdio: "ignore" }).status === 0;
}

const clsact = ["qdisc", "add", "dev", "lo", "clsact"];
const filterOf = (percent: number) => [..."filter add dev lo ingress bpf da bytecode".split(" "), losing(percent)];

/** BPF: a random number at or above `least` passes (0), another packet is dropped (2). */
function losing(percent: number): string {
  const least = Math.round((percent / 100) * 2 ** 32);
  const random = 2 ** 32 - 4_096 + 56;
  return `4,32 0 0 ${random},53 1 0 ${least},6 0 0 2,6 0 0 0`;
}

function lose(percent: number): void {
  execFileSync("tc", ["filter", "del", "dev", "lo", "ingress"]);
  if (percent > 0) execFileSync("tc", filterOf(percent));
}

/** How long each lasts, and longer until one order of it was placed: with a third lost TCP may pause for seconds. */
const stages = [
  { lost: 1, ms: 1_500 },
  { lost: 10, ms: 1_500 },
  { lost: 30, ms: 2_000 },
];

async function measure(): Promise<LossReport> {
  execFileSync("ip", ["link", "set", "lo", "up"]);
  execFileSync("tc", clsact);
  await using shop = await startProcesses({ env: ratesMax });
  using customers = await sendCustomers(shop.urls.gateway, 8);
  const { intents, errors } = customers.history;
  const failures = () => errors.values().reduce((sum, count) => sum + count, 0);
  const seen = [];
  for (const { lost, ms } of stages) {
    lose(lost);
    const [fromMs, failedBefore] = [performance.now(), failures()];
    const begun = intents.length;
    await sleep(ms);
    await until(() => intents.slice(begun).some(({ acknowledged }) => acknowledged), `an order is placed at ${lost} %`);
    const tookMs = intents.flatMap(({ acknowledged, startedAtMs }) =>
      acknowledged && acknowledged.atMs >= fromMs ? acknowledged.atMs - startedAtMs : [],
    );
    const times = { p50Ms: quantile(tookMs, 0.5), p99Ms: quantile(tookMs, 0.99) };
    seen.push({ lost, placed: tookMs.length, failed: failures() - failedBefore, ...times });
  }
  lose(0);
  const known = intents.length;
  await until(() => intents.slice(known).some(({ acknowledged }) => acknowledged), "orders are placed again");
  await customers.finish();
  return { stages: seen, violations: violations(customers.history, await customers.stored()) };
}

if (import.meta.main) process.stdout.write(JSON.stringify(await measure()));
