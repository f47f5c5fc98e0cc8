// Loaded into a server by `npm run bench -- --profile DIR`: when the process ends, BENCH_COLLECTOR says how often its garbage
// collector stopped it, and for how long altogether.
import { writeFileSync } from "node:fs";
import { constants, PerformanceObserver } from "node:perf_hooks";

const pauses = { young: { count: 0, ms: 0 }, old: { count: 0, ms: 0 } };
const observer = new PerformanceObserver((list) => add(list.getEntries()));
observer.observe({ entryTypes: ["gc"] });
process.once("exit", () => {
  add(observer.takeRecords());
  const lines = Object.entries(pauses).map(([part, { count, ms }]) => `${part} ${count} pauses ${ms.toFixed(0)} ms\n`);
  writeFileSync(process.env.BENCH_COLLECTOR!, lines.join(""));
});

function add(entries: readonly { readonly duration: number }[]): void {
  for (const entry of entries) {
    const { duration, detail } = entry as { duration: number; detail: { kind: number } };
    const part = detail.kind === constants.NODE_PERFORMANCE_GC_MINOR ? pauses.young : pauses.old;
    part.count += 1;
    part.ms += duration;
  }
}
