// `npm run chaos`: breaks the shop for as long as it is told, and says what customers noticed. The seed decides what goes wrong
// and after how long; what the machine makes of it is its own.
import { type ServiceName, serviceNames } from "../../shop/topology.ts";
import { numberFrom, oneOf, readCommandLine } from "../options.ts";
import { makeRandom } from "../random.ts";
import { killAtSteps, killPoints } from "./failpoints.ts";
import { type History, quantile } from "./history.ts";
import { killUnderLoad } from "./kills.ts";
import { measureOverload, overloadTable } from "./overload.ts";
import { type Stalled, stallUnderLoad } from "./stalls.ts";
import { storm } from "./storm.ts";

const usage = `npm run chaos -- [options]
  --minutes N      how long everything goes wrong at random: kills, stalls, a bad network (default: 2)
  --kills N        instead: kill -9 of each service so often, and how long customers noticed
  --stalls N       instead: SIGSTOP of users and orders so often, and who noticed
  --steps          instead: a kill at every step of an order
  --overload       instead: offers up to four times the orders that can be placed, and says what becomes of them
  --services a,b   which are killed (with --kills; default: ${serviceNames.join(",")})
  --customers N    who order meanwhile (default: 8)
  --seed N         of all that chance decides`;

/** Between a kill's recovery and the next kill, at least. Milliseconds. */
const pauseMs = 1_000;
/** Between two faults of any kind, at most. With less, something is always down, and nobody orders at all. Milliseconds. */
const stormPauseMs = 4_000;

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;
const asked = readCommandLine({
  usage,
  options: {
    ...{ minutes: text, kills: text, stalls: text, services: text, customers: text, seed: text },
    ...{ steps: flag, overload: flag },
  },
  read: ({ steps, overload, ...values }) => ({
    steps,
    overload,
    minutes: numberFrom(1, "--minutes", values.minutes ?? "2"),
    kills: values.kills === undefined ? undefined : numberFrom(1, "--kills", values.kills),
    stalls: values.stalls === undefined ? undefined : numberFrom(1, "--stalls", values.stalls),
    services: values.services?.split(",").map((name) => oneOf(serviceNames, "--services", name)) ?? serviceNames,
    customers: numberFrom(1, "--customers", values.customers ?? "8"),
    seed: values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : numberFrom(0, "--seed", values.seed),
  }),
});
try {
  await run();
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.exitCode = 1;
}

async function run(): Promise<void> {
  const { seed, customers } = asked;
  const by: Run = { random: makeRandom(seed), customers };
  process.stderr.write(`seed ${seed}\n`);
  if (asked.overload) {
    await overload(seed);
    return;
  }
  const found = asked.steps
    ? await steps()
    : asked.kills !== undefined
      ? await kills(by, asked.kills, asked.services)
      : asked.stalls !== undefined
        ? await stalls(by, asked.stalls)
        : await anything(by, asked.minutes);
  say(`Lost, doubled or invented: ${found.length}.`);
  for (const violation of found) say(violation);
  if (found.length > 0) process.exitCode = 1;
}

interface Run {
  random(): number;
  readonly customers: number;
}

async function anything({ random, customers }: Run, minutes: number): Promise<readonly string[]> {
  let count = 0;
  const onFault = () => {
    count += 1;
    if (count % 100 === 0) process.stderr.write(`${count} faults\n`);
  };
  const report = await storm({ random, customers, durationMs: minutes * 60_000, pauseMsMax: stormPauseMs, onFault });
  row(["fault", "times"]);
  row(["---", "---:"]);
  for (const [fault, times] of report.faults) row([fault, times]);
  say(
    `\nThe longest time without an acknowledged order: ${Math.round(report.gapMs)} ms; all is well again ` +
      `${Math.round(report.healedMs)} ms after the last fault.`,
  );
  sayHistory(report.history);
  return report.violations;
}

async function kills(
  { random, customers }: Run,
  count: number,
  services: readonly ServiceName[],
): Promise<readonly string[]> {
  // Each as often as the others, in an order of chance.
  const order = Array.from({ length: count * services.length }, (_, n) => ({
    service: services[n % services.length]!,
    at: random(),
  }))
    .sort((a, b) => a.at - b.at)
    .map(({ service }) => service);
  const onKill = (done: number) => done % 50 === 0 && process.stderr.write(`${done} of ${order.length}\n`);
  const report = await killUnderLoad({ kills: order, random, customers, pauseMs, onKill });
  row(["killed", "kills", "ready again ms, p50", "p99", "most", "client gap ms, p50", "p99", "most"]);
  row(["---", ...Array.from({ length: 7 }, () => "---:")]);
  for (const service of services) {
    const own = report.kills.filter((kill) => kill.service === service);
    row([
      service,
      own.length,
      ...figures(own.map(({ readyMs }) => readyMs)),
      ...figures(own.map(({ gapMs }) => gapMs)),
    ]);
  }
  say("");
  sayHistory(report.history);
  return report.violations;
}

async function stalls({ customers }: Run, count: number): Promise<readonly string[]> {
  const services = Array.from({ length: count }, (): Stalled[] => ["orders", "users"]).flat();
  const report = await stallUnderLoad(services, customers);
  row([
    "stopped",
    "noticed ms, p50",
    "p99",
    "most",
    "again ms, p50",
    "p99",
    "most",
    "others ms before, p50",
    "p99",
    "during, p50",
    "p99",
  ]);
  row(["---", ...Array.from({ length: 10 }, () => "---:")]);
  for (const service of ["orders", "users"]) {
    const own = report.stalls.filter((stall) => stall.service === service);
    const beside = (of: "before" | "during") => {
      const all = own.flatMap(({ besideMs }) => besideMs[of]);
      return [quantile(all, 0.5).toFixed(1), quantile(all, 0.99).toFixed(1)];
    };
    row([
      service,
      ...figures(own.map(({ noticedMs }) => noticedMs)),
      ...figures(own.map(({ resumedMs }) => resumedMs)),
      ...beside("before"),
      ...beside("during"),
    ]);
  }
  say("");
  sayHistory(report.history);
  return report.violations;
}

async function overload(seed: number): Promise<void> {
  const onMeasured = (what: string) => process.stderr.write(`${what}\n`);
  const options = { customers: 144, rounds: 3, seconds: 5, seed, factors: [1, 2, 4], onMeasured };
  say(overloadTable(await measureOverload(options)));
}

async function steps(): Promise<readonly string[]> {
  const report = await killAtSteps(killPoints);
  row(["killed", "at", "when", "heard"]);
  row(["---", "---", "---", "---"]);
  for (const [i, { service, at, text, when }] of killPoints.entries()) {
    row([service, `${at} \`${text}\``, when, report.heard[i]!.replace(/^order.*/, "acknowledged")]);
  }
  say("");
  return report.violations;
}

function figures(all: readonly number[]): number[] {
  return [0.5, 0.99, 1].map((share) => Math.round(quantile(all, share)));
}

function row(cells: readonly (string | number)[]): void {
  say(`| ${cells.join(" | ")} |`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function sayHistory({ intents, errors }: History): void {
  const acknowledged = intents.filter((intent) => intent.acknowledged).length;
  const failed = [...errors].map(([code, count]) => `${count} ${code}`).join(", ");
  say(`${acknowledged} orders were acknowledged, after attempts that failed: ${failed || "none"}.`);
}
