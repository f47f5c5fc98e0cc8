// What processes have used so far, from Linux's /proc. Elsewhere there is none of it, and the results say so by null.
import { existsSync, readFileSync } from "node:fs";

export interface Usage {
  /** Of user and system together. */
  readonly cpuSeconds: number;
  readonly residentMiB: number;
  /** Everything written, to sockets and files. */
  readonly writtenBytes: number;
  /** System calls that wrote: without files, about as many as messages were sent. */
  readonly writes: number;
}

/** Of /proc/PID/stat: USER_HZ, which is 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

export const canMeasure = existsSync("/proc/self/io");

/** Of each process, in their order; of none where there is no /proc. */
export function usagesOf(pids: readonly number[]): readonly Usage[] {
  return canMeasure ? pids.map(usageOfOne) : [];
}

/** What processes have used between two readings, memory as at the second. Null when there were no readings. */
export function usedBetween(before: readonly Usage[], after: readonly Usage[]): Usage | null {
  if (after.length === 0) return null;
  const sum = (of: (usage: Usage) => number) => sumOf(after, of) - sumOf(before, of);
  return {
    cpuSeconds: sum((it) => it.cpuSeconds),
    residentMiB: sumOf(after, (it) => it.residentMiB),
    writtenBytes: sum((it) => it.writtenBytes),
    writes: sum((it) => it.writes),
  };
}

function sumOf(usages: readonly Usage[], of: (usage: Usage) => number): number {
  return usages.reduce((total, usage) => total + of(usage), 0);
}

function usageOfOne(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // After the name, which may hold spaces: utime and stime are the 14th and 15th field of all.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const io = readFileSync(`/proc/${pid}/io`, "utf8");
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    residentMiB: numberAfter("VmRSS:", status) / 1024,
    writtenBytes: numberAfter("wchar:", io),
    writes: numberAfter("syscw:", io),
  };
}

/** Seconds in which the processors of this machine did anything, for anybody. */
export function machineBusySeconds(): number | null {
  if (!canMeasure) return null;
  const [, ...fields] = readFileSync("/proc/stat", "utf8").split("\n")[0]!.trim().split(/\s+/).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0] = fields;
  return (user + nice + system + irq + softIrq) / ticksPerSecond;
}

function numberAfter(label: string, text: string): number {
  return Number(text.slice(text.indexOf(label) + label.length).match(/\d+/)?.[0]);
}
