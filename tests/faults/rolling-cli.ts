// `npm run rolling`: restarts each of two instances of each service, one after the other, under load, and says what customers
// noticed: nothing, or it ends with 1.
import { serviceNames } from "../../shop/topology.ts";
import { numberFrom, readCommandLine } from "../options.ts";
import { quantile } from "./history.ts";
import { type RollingReport, rollUnderLoad } from "./rolling.ts";

const usage = `npm run rolling -- [options]     (it needs the Debian package postgresql)
  --rounds N      how often each instance is restarted (default: 3)
  --customers N   who order meanwhile (default: 8)
`;

const { rounds, customers } = readCommandLine({
  usage,
  options: { rounds: { type: "string", default: "3" }, customers: { type: "string", default: "8" } },
  read: (values) => ({
    rounds: numberFrom(1, "--rounds", values.rounds),
    customers: numberFrom(1, "--customers", values.customers),
  }),
});
try {
  const onRestart = (done: number) => process.stderr.write(`${done} of ${rounds * serviceNames.length * 2}\n`);
  const report = await rollUnderLoad({ rounds, customers, pauseMs: 500, onRestart });
  print(report);
  if (report.failed.size > 0 || report.violations.length > 0) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`${(error as Error).stack}\n`);
  process.exitCode = 1;
}

function print({ restarts, acknowledged, failed, latenciesMs, violations }: RollingReport): void {
  const line = (cells: readonly (string | number)[]) => process.stdout.write(`| ${cells.join(" | ")} |\n`);
  line(["restarted", "restarts", "drained ms, p50", "most", "ready ms, p50", "most"]);
  line(["---", ...Array.from({ length: 5 }, () => "---:")]);
  for (const service of serviceNames) {
    const own = restarts.filter((restart) => restart.service === service);
    const figures = [own.map(({ drainMs }) => drainMs), own.map(({ readyMs }) => readyMs)];
    const cells = figures.flatMap((all) => [0.5, 1].map((share) => Math.round(quantile(all, share))));
    line([service, own.length, ...cells]);
  }
  const [p50, p99, most] = [0.5, 0.99, 1].map((share) => Math.round(quantile(latenciesMs, share)));
  const errors = [...failed].map(([what, count]) => `\n${count} failed with ${what}`).join("");
  process.stdout.write(
    `\n${acknowledged} orders were acknowledged, in ${p50} ms (p50), ${p99} ms (p99), ${most} ms at most.${errors}\n` +
      `Lost, doubled or invented: ${violations.length}.\n${violations.map((it) => `${it}\n`).join("")}`,
  );
}
