// The load process: one for each system, told by messages what to run. Its environment names the client module and the
// gateway's address.
import { runArrivals } from "./arrivals.ts";
import type { OpenClient } from "./client.ts";
import type { ClosedLoad, Load, OpenLoad, RunAnswer, RunRequest, RunResult } from "./run.ts";
import { machineBusySeconds, type Usage, usagesOf, usedBetween } from "./usage.ts";
import { bob, items, total } from "./work.ts";

const { BENCH_FOLDER = "", BENCH_GATEWAY = "" } = process.env;
const { open } = (await import(`./${BENCH_FOLDER}/client.ts`)) as { open: OpenClient };

/** The connections of an open loop are those of so many clients. */
const openLoopClients = 256;
/** With more unanswered orders a system does not keep up: the rest are failures, and not all memory. */
const underWayMax = 20_000;
/** Before each measurement, of its length: connections, caches and queues are then as they stay. */
const rampShare = 0.25;
const errorsShownMax = 3;

let acknowledged = 0;
let errors = 0;

type Place = () => Promise<void>;

/** What came of the load that was offered. */
interface Outcome {
  /** Of each order that was answered. Milliseconds. */
  readonly latencies: number[];
  failed: number;
}

process.on("message", (request: RunRequest) => {
  const failed = (error: unknown): RunAnswer => ({ type: "failed", message: String(error) });
  void run(request)
    .catch(failed)
    .then((answer) => process.send?.(answer));
});
process.once("disconnect", () => process.exit());
process.send?.({ type: "ready" });

async function run({ load, pids }: RunRequest): Promise<RunAnswer> {
  const client = await open(BENCH_GATEWAY, load.kind === "closed" ? load.clients : openLoopClients);
  try {
    const token = await client.login(bob.username, bob.password);
    const place = async () => {
      const order = await client.createOrder(token, items, crypto.randomUUID());
      acknowledged += 1;
      if (order.total !== total || order.items.length !== items.length) {
        throw new Error(`not what was ordered: ${JSON.stringify(order)}`);
      }
    };
    const isCold = load.kind === "closed" && load.isCold === true;
    if (!isCold) await offer(place, { ...load, seconds: load.seconds * rampShare });
    const before = read(pids);
    const outcome = await offer(place, load);
    return { type: "result", result: resultOf(outcome, before, read(pids)), acknowledged };
  } finally {
    await client.close();
  }
}

async function offer(place: Place, load: Load): Promise<Outcome> {
  const outcome: Outcome = { latencies: [], failed: 0 };
  await (load.kind === "closed" ? offerClosed(place, load, outcome) : offerOpen(place, load, outcome));
  return outcome;
}

async function offerClosed(place: Place, { clients, seconds }: ClosedLoad, outcome: Outcome): Promise<void> {
  const endMs = performance.now() + seconds * 1_000;
  const caller = async () => {
    for (let nowMs = performance.now(); nowMs < endMs; nowMs = performance.now()) await timed(place, nowMs, outcome);
  };
  await Promise.all(Array.from({ length: clients }, caller));
}

async function offerOpen(place: Place, load: OpenLoad, outcome: Outcome): Promise<void> {
  const underWay = new Set<Promise<void>>();
  await runArrivals(load, (dueMs) => {
    if (underWay.size >= underWayMax) {
      outcome.failed += 1;
      return;
    }
    const answered = timed(place, dueMs, outcome).then(() => void underWay.delete(answered));
    underWay.add(answered);
  });
  await Promise.all(underWay);
}

async function timed(place: Place, fromMs: number, outcome: Outcome): Promise<void> {
  try {
    await place();
    outcome.latencies.push(performance.now() - fromMs);
  } catch (error) {
    outcome.failed += 1;
    if (errors++ < errorsShownMax) process.stderr.write(`${BENCH_FOLDER}: an order failed: ${error}\n`);
  }
}

interface Reading {
  readonly atMs: number;
  readonly servers: readonly Usage[];
  readonly own: readonly Usage[];
  readonly ownCpu: NodeJS.CpuUsage;
  readonly busySeconds: number | null;
}

function read(pids: readonly number[]): Reading {
  return {
    atMs: performance.now(),
    servers: usagesOf(pids),
    own: usagesOf([process.pid]),
    ownCpu: process.cpuUsage(),
    busySeconds: machineBusySeconds(),
  };
}

function resultOf({ latencies, failed }: Outcome, before: Reading, after: Reading): RunResult {
  const seconds = (after.atMs - before.atMs) / 1_000;
  const orders = latencies.length;
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number) => sorted[Math.min(orders - 1, Math.floor(share * orders))] ?? 0;
  const loadCpu = (after.ownCpu.user + after.ownCpu.system - before.ownCpu.user - before.ownCpu.system) / 1e6;
  const servers = usedBetween(before.servers, after.servers);
  const own = usedBetween(before.own, after.own);
  const all = servers && own && { bytes: servers.writtenBytes + own.writtenBytes, writes: servers.writes + own.writes };
  const cpuOf = (n: number) => {
    const used = usedBetween(before.servers.slice(n, n + 1), after.servers.slice(n, n + 1));
    return used && (used.cpuSeconds / orders) * 1_000;
  };
  const busySeconds = before.busySeconds === null ? null : after.busySeconds! - before.busySeconds;
  return {
    rate: orders / seconds,
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    max: at(1),
    failed,
    serverCpu: servers && (servers.cpuSeconds / orders) * 1_000,
    loadCpu: (loadCpu / orders) * 1_000,
    usersCpu: cpuOf(0),
    ordersCpu: cpuOf(1),
    gatewayCpu: cpuOf(2),
    residentMiB: servers?.residentMiB ?? null,
    clientBytes: own && own.writtenBytes / orders,
    bytes: all && all.bytes / orders,
    clientWrites: own && own.writes / orders,
    writes: all && all.writes / orders,
    foreignCpus:
      servers && busySeconds !== null ? Math.max(0, (busySeconds - servers.cpuSeconds - loadCpu) / seconds) : null,
  };
}
