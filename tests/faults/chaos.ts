// `npm run chaos`: breaks the shop at random for as long as it is told, and says what customers noticed. The seed decides
// who is killed and after how long; what the machine makes of it is its own.
import { parseArgs } from "node:util";
import { type ServiceName, serviceNames } from "../../shop/topology.ts";
import { makeRandom } from "../random.ts";
import { quantile } from "./history.ts";
import { type KillReport, killUnderLoad } from "./kills.ts";
import { measureOverload, overloadTable } from "./overload.ts";

const usage = `npm run chaos -- [options]
  --minutes N      about how long (default: 2)
  --kills N        of each service, instead of a time
  --services a,b   which are killed (default: ${serviceNames.join(",")})
  --customers N    who order meanwhile (default: 8)
  --seed N         of who is killed, and when
  --overload       instead: offers ten times the orders that can be placed, and says what becomes of them`;

/** Of a kill, its recovery and the pause after it, about. Milliseconds. */
const killMs = 2_100;
const pauseMs = 1_000;

class UsageError extends Error {}

try {
  await run();
} catch (error) {
  process.stderr.write(`${error instanceof UsageError ? `${error.message}\n\n${usage}` : (error as Error).stack}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

async function run(): Promise<void> {
  const { services, seed, customers, count, isOverload } = readOptions();
  if (isOverload) {
    process.stderr.write(`seed ${seed}\n`);
    const onMeasured = (what: string) => process.stderr.write(`${what}\n`);
    const options = { customers: 64, rounds: 3, seconds: 5, seed, factors: [1, 2, 10], onMeasured };
    process.stdout.write(overloadTable(await measureOverload(options)));
    return;
  }
  process.stderr.write(`seed ${seed}: ${count} kills of ${services.join(", ")}, ${customers} customers\n`);
  const random = makeRandom(seed);
  // Each as often as the others, in an order of chance.
  const kills = Array.from({ length: count }, (_, n) => ({ service: services[n % services.length]!, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ service }) => service);
  const onKill = (done: number) => done % 50 === 0 && process.stderr.write(`${done} of ${count}\n`);
  const report = await killUnderLoad({ kills, random, customers, pauseMs, onKill });
  print(report, services);
  if (report.violations.length > 0) process.exitCode = 1;
}

function readOptions() {
  const { values } = parse();
  const services = (values.services?.split(",") ?? [...serviceNames]).map((name) => {
    const service = serviceNames.find((it) => it === name);
    if (!service) throw new UsageError(`--services: there is no ${name}`);
    return service;
  });
  const perService = values.kills === undefined ? undefined : whole("kills", values.kills);
  const minutes = whole("minutes", values.minutes ?? "2");
  return {
    services,
    seed: values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : whole("seed", values.seed),
    customers: whole("customers", values.customers ?? "8"),
    isOverload: values.overload === true,
    count: perService === undefined ? Math.ceil((minutes * 60_000) / killMs) : perService * services.length,
  };
}

function parse() {
  const text = { type: "string" } as const;
  try {
    const overload = { type: "boolean" } as const;
    return parseArgs({
      options: { minutes: text, kills: text, services: text, customers: text, seed: text, overload },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function whole(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new UsageError(`--${name}: expected a whole number, got ${value}`);
  return number;
}

function print({ kills, history, violations }: KillReport, services: readonly ServiceName[]): void {
  const line = (cells: readonly (string | number)[]) => process.stdout.write(`| ${cells.join(" | ")} |\n`);
  line(["killed", "kills", "ready again ms, p50", "p99", "most", "client gap ms, p50", "p99", "most"]);
  line(["---", ...Array.from({ length: 7 }, () => "---:")]);
  for (const service of services) {
    const own = kills.filter((kill) => kill.service === service);
    const figures = [own.map(({ readyMs }) => readyMs), own.map(({ gapMs }) => gapMs)];
    line([
      service,
      own.length,
      ...figures.flatMap((all) => [0.5, 0.99, 1].map((share) => Math.round(quantile(all, share)))),
    ]);
  }
  const acknowledged = history.intents.filter((intent) => intent.acknowledged).length;
  const errors = [...history.errors].map(([code, count]) => `${count} ${code}`).join(", ");
  process.stdout.write(
    `\n${acknowledged} orders were acknowledged, after attempts that failed: ${errors || "none"}. ` +
      `Lost, doubled or invented: ${violations.length}.\n${violations.map((it) => `${it}\n`).join("")}`,
  );
}
