import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceName, serviceNames } from "../../shop/topology.ts";
import { until } from "../process-harness.ts";
import { type Customers, sendCustomers } from "./customers.ts";
import { type History, violations } from "./history.ts";
import { ratesMax } from "./kills.ts";
import { type LinkName, linkNames, type Network, startNetwork } from "./network.ts";
import { type Direction, fairWeather } from "./proxy.ts";

export interface StormOptions {
  /** From 0 to 1; decides what goes wrong, where, when and for how long. */
  random(): number;
  readonly durationMs: number;
  readonly customers: number;
  /** Between two faults: from nothing to so much. Milliseconds. */
  readonly pauseMsMax: number;
  readonly onFault?: (fault: string) => void;
}

export interface StormReport {
  /** How often what went wrong. */
  readonly faults: ReadonlyMap<string, number>;
  readonly history: History;
  /** See `violations`. */
  readonly violations: readonly string[];
  /** From the end of all faults until every order that was begun was acknowledged. Milliseconds. */
  readonly healedMs: number;
  /** The longest time within the storm in which no order was acknowledged. Milliseconds. */
  readonly gapMs: number;
}

/** What is bad stays so, from a tenth of it to this: some of it longer than a heartbeat takes. Milliseconds. */
const badMsMax = 2_000;
const longMs = 8_000;
/** One in so many bad stretches is a long one. */
const longOneIn = 20;

/** What can go wrong; each resolves when it is over. Those of one link or service may fall together. */
interface Storm {
  readonly network: Network;
  random(): number;
  pick<T>(from: readonly T[]): T;
  /** How long something is bad. Milliseconds. */
  badMs(): number;
}

const faults: Readonly<Record<string, (storm: Storm) => Promise<void>>> = {
  kill: async ({ network: { shop }, pick }) => {
    const name = pick<ServiceName>(serviceNames);
    // It may be down, or stopped, already.
    if (shop.pidOf(name) === undefined) return;
    await shop.kill(name);
    await shop.start(name);
  },
  stall: async ({ network: { shop }, pick, badMs }) => {
    const pid = shop.pidOf(pick<ServiceName>(serviceNames));
    if (pid === undefined) return;
    process.kill(pid, "SIGSTOP");
    await sleep(badMs());
    wake(pid);
  },
  late: (storm) =>
    weatherOn(storm, { latencyMs: Math.round(500 * storm.random()), jitterMs: Math.round(200 * storm.random()) }),
  narrow: (storm) => weatherOn(storm, { bytesPerSecond: 4_000 + Math.round(60_000 * storm.random()) }),
  oneWay: (storm) => weatherOn(storm, { stalled: [storm.pick<Direction>(["there", "back"])] }),
  cut: (storm) => weatherOn(storm, { stalled: ["there", "back"] }),
  refuse: async ({ network: { links }, pick, badMs }) => {
    const link = links[pick<LinkName>(linkNames)];
    await link.refuse();
    link.reset();
    await sleep(badMs());
    await link.accept();
  },
  reset: async ({ network: { links }, pick }) => links[pick<LinkName>(linkNames)].reset(),
  halfClose: async ({ network: { links }, pick }) =>
    links[pick<LinkName>(linkNames)].halfClose(pick<Direction>(["there", "back"])),
};

async function weatherOn({ network, pick, badMs }: Storm, weather: Partial<typeof fairWeather>): Promise<void> {
  const link = network.links[pick<LinkName>(linkNames)];
  link.setWeather(weather);
  await sleep(badMs());
  link.setWeather(fairWeather);
}

function wake(pid: number): void {
  try {
    process.kill(pid, "SIGCONT");
  } catch {
    // It was killed meanwhile.
  }
}

/**
 * Everything at once: processes are killed and stopped and the network between them is as bad as it can be, while customers
 * place orders. In the end all is well again, and what they heard is compared with what is there.
 */
export async function storm(options: StormOptions): Promise<StormReport> {
  const { random, durationMs, pauseMsMax, onFault = () => {} } = options;
  await using network = await startNetwork(random, { env: ratesMax });
  using customers = await sendCustomers(network.url, options.customers);
  const { history } = customers;
  const acknowledged = () => history.intents.filter((it) => it.acknowledged).length;
  await until(() => acknowledged() > 0, "an order was acknowledged");
  const counts = new Map<string, number>();
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)]!;
  const badMs = () => (random() * longOneIn < 1 ? longMs : badMsMax * (0.1 + 0.9 * random()));
  const underWay = new Set<Promise<void>>();
  const kinds = Object.keys(faults);
  const startedAtMs = performance.now();
  // Each kind in turn at first, so that a short storm has all of them.
  for (let n = 0; performance.now() - startedAtMs < durationMs; n += 1) {
    const kind = kinds[n] ?? pick(kinds);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    onFault(kind);
    const over = faults[kind]!({ network, random, pick, badMs }).finally(() => underWay.delete(over));
    underWay.add(over);
    // Whoever awaits them below hears of it.
    over.catch(() => {});
    await sleep(pauseMsMax * random());
  }
  await Promise.all(underWay);
  const stormMs = performance.now() - startedAtMs;
  const endedAtMs = performance.now();
  await heal(network, customers);
  return {
    faults: counts,
    history,
    violations: violations(history, await customers.stored()),
    healedMs: performance.now() - endedAtMs,
    gapMs: longestGapMs(history, startedAtMs, startedAtMs + stormMs),
  };
}

async function heal(network: Network, customers: Customers): Promise<void> {
  for (const name of linkNames) {
    network.links[name].setWeather(fairWeather);
    await network.links[name].accept();
  }
  await network.shop.ready();
  await customers.finish();
}

function longestGapMs({ intents }: History, fromMs: number, toMs: number): number {
  const times = intents.flatMap(({ acknowledged }) => acknowledged?.atMs ?? []);
  const within = times.filter((atMs) => atMs > fromMs && atMs < toMs).sort((a, b) => a - b);
  // There may be more of them than a call takes arguments.
  return [...within, toMs].reduce((longest, atMs, i) => Math.max(longest, atMs - (within[i - 1] ?? fromMs)), 0);
}
