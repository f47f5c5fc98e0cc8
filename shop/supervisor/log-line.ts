const levels: Readonly<Record<number, string>> = {
  10: "trace",
  20: "debug",
  30: "info",
  40: "warn",
  50: "error",
  60: "fatal",
};

/** Said by the prefix or of no use to a person. */
const leftOut = new Set(["level", "time", "msg", "pid", "hostname", "name", "service"]);

/** A line of a JSON log for a person: time, level, message, then the other fields. What is no such line stays as it is. */
export function prettyLogLine(line: string): string {
  const entry = parse(line);
  if (!entry) return line;
  const { level, time, msg } = entry;
  const at = typeof time === "number" || typeof time === "string" ? clockTime(new Date(time)) : "";
  const name = typeof level === "number" ? (levels[level] ?? String(level)) : String(level ?? "");
  const fields = Object.entries(entry)
    .filter(([key]) => !leftOut.has(key))
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return [at, name, msg, ...fields].filter((part) => part !== undefined && part !== "").join(" ");
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function clockTime(date: Date): string {
  return Number.isNaN(date.getTime()) ? "" : date.toTimeString().slice(0, 8);
}

/** SECURITY: a log quotes strangers, whose control characters would command the terminal. They are shown as `\x1b`. */
export function visible(text: string): string {
  return text.replace(/\p{Cc}/gu, (c) => (c === "\t" ? c : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`));
}
