import type { Busyness, InstanceReport, Metrics } from "@flotilla/kit";
import type { Build } from "./build.ts";

export interface FiguresOf {
  readonly build: Build;
  busyness(): Busyness;
  /** Every instance of every service that is reached. */
  instances(): readonly InstanceReport[];
  /** Calls that were sent once more, by destination. */
  repeated(): Readonly<Record<string, number>>;
  /** Those that the budget of retries did not let be sent once more, by destination. */
  notRepeated(): Readonly<Record<string, number>>;
  /** Lines of the log that nobody took in time. */
  linesDropped(): number;
}

/** What `/metrics` says of each of our services beside its calls; docs/operations.md tells what each figure means. */
export function watchFigures(metrics: Metrics, of: FiguresOf): void {
  const { build } = of;
  metrics.watch("loop_lag_seconds", "How late the event loop was, at worst, in the last seconds", () => {
    return of.busyness().loopLagMs / 1_000;
  });
  metrics.watch("overloaded", "1 while calls are refused because more come than can be answered", () => {
    return Number(of.busyness().isOverloaded);
  });
  metrics.watch("shed_total", "Calls that were refused for overload", () => of.busyness().shed);
  metrics.watch("log_lines_dropped_total", "Lines of the log that nobody took in time", of.linesDropped);
  metrics.watch("retries_total", "Calls that were sent once more, by destination", of.repeated);
  metrics.watch(
    "retries_refused_total",
    "Calls that the budget did not let be sent once more, by destination",
    of.notRepeated,
  );
  metrics.watch("calls_withheld_total", "Calls that were not sent to an instance that refuses many, by instance", () =>
    byPlace(of.instances(), ({ withheld }) => withheld),
  );
  metrics.watch("instances_open", "Instances that can be asked, by destination", () => openCounts(of.instances()));
  metrics.watch("calls_under_way", "Calls that an instance has not answered, by instance", () =>
    byPlace(of.instances(), ({ underWay }) => underWay),
  );
  metrics.watch("breaker_failures_total", "Calls that failed so that a breaker counts them, by instance", () =>
    byPlace(of.instances(), ({ failures }) => failures),
  );
  metrics.watch("breaker_open", "Breakers that are not closed, by instance", () =>
    byPlace(of.instances(), ({ breakers }) => Object.values(breakers).filter((state) => state !== "closed").length),
  );
  metrics.watch("uptime_seconds", "Since this process started", () => build.uptimeMs() / 1_000);
  metrics.watch("build_info", "Always 1; which program this is", () => ({
    [`${build.version} ${build.commit ?? "unknown"}`]: 1,
  }));
}

function openCounts(instances: readonly InstanceReport[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { name, isOpen } of instances) counts[name] = (counts[name] ?? 0) + Number(isOpen);
  return counts;
}

function byPlace(
  instances: readonly InstanceReport[],
  read: (report: InstanceReport) => number,
): Record<string, number> {
  return Object.fromEntries(instances.map((report) => [`${report.name} ${report.url}`, read(report)]));
}
