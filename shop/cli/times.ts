import { usageError } from "./cli-error.ts";

/** `2026-11-25 13:07:16` where this machine is. */
export function timeText(ms: number): string {
  const at = new Date(ms);
  const two = (value: number) => String(value).padStart(2, "0");
  const date = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${date} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":")}`;
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
/** A wait of a person, not a setting for a service. Milliseconds. */
const durationMsMax = 3_600_000;

/** `10` (seconds), `500ms`, `10s`, `2m`. Throws a usage error that names `option`. */
export function parseDuration(option: string, text: string): number {
  const [, amount, unit = "s"] = /^(\d{1,7}(?:\.\d{1,3})?)(ms|s|m|h)?$/.exec(text) ?? [];
  const ms = Number(amount) * (unitsMs[unit] ?? 0);
  if (ms > 0 && ms <= durationMsMax) return ms;
  throw usageError(`${option} takes a time such as 500ms, 10s or 2m, up to an hour; got ${JSON.stringify(text)}`);
}

/** A whole number between two others. Throws a usage error that names `option`. */
export function parseCount(option: string, text: string, { min = 1, max }: { min?: number; max: number }): number {
  const count = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (count >= min && count <= max) return count;
  throw usageError(`${option} takes a whole number from ${min} to ${max}; got ${JSON.stringify(text)}`);
}

/** A time span in its largest unit, for a person. */
export function spanText(ms: number): string {
  const units = [
    ["day", 86_400_000],
    ["hour", 3_600_000],
    ["minute", 60_000],
    ["second", 1_000],
  ] as const;
  const [name, unitMs] = units.find(([, size]) => ms >= size) ?? (["second", 1_000] as const);
  const count = Math.max(Math.round(ms / unitMs), 1);
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}
