import { serviceNames, topology } from "../topology.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const prefix = "FLOTILLA_";

/** Every setting that any program of the shop reads, without the prefix. A name that is not here is refused. */
export const settingNames: readonly string[] = [
  ..."MODE DATA HOST INSTANCES INSTANCE SOCKETS REGISTER ADDRESS LOG_LEVEL ORIGINS TRUSTED_PROXIES PROFILE".split(" "),
  ..."RATE_NETWORK RATE_USER RATE_LOGINS".split(" "),
  ...serviceNames.flatMap((name) => {
    const own = topology[name].store ? ["PORT", "OPS_PORT", "URL", "STORE", "STORE_FILE"] : ["PORT", "OPS_PORT", "URL"];
    return own.map((setting) => `${name.toUpperCase()}_${setting}`);
  }),
];

/**
 * A problem for each variable that looks like a setting and is none, with the setting it may have been meant for, and for
 * each value that was not UTF-8.
 */
export function settingProblems(env: Environment): string[] {
  return [...undecodedSettings(env), ...unknownSettings(env)];
}

/** Node puts U+FFFD in the place of what it cannot decode, such as a password in Latin-1. */
function undecodedSettings(env: Environment): string[] {
  return Object.entries(env)
    .filter(([variable, value]) => variable.startsWith(prefix) && value?.includes("\uFFFD"))
    .map(([variable]) => `${variable} is not valid UTF-8`);
}

function unknownSettings(env: Environment): string[] {
  return Object.entries(env)
    .filter(([variable, value]) => variable.startsWith(prefix) && value && !isOfKubernetes(variable, value))
    .map(([variable]) => variable.slice(prefix.length))
    .filter((name) => !settingNames.includes(name))
    .sort()
    .map((name) => {
      const meant = nearest(name);
      const hint = meant === undefined ? "the README lists them all" : `did you mean ${prefix}${meant}?`;
      return `${prefix}${name}: there is no such setting; ${hint}`;
    });
}

/** The port in `variable`; undefined when that is unset. Adds to `problems` what is wrong. */
export function readPort(variable: string, env: Environment, problems: string[]): number | undefined {
  const text = env[variable];
  if (!text || isOfKubernetes(variable, text)) return undefined;
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  problems.push(`${variable}: expected a port from 0 (any free one) to 65535, got ${JSON.stringify(text)}`);
  return undefined;
}

/**
 * Whether Kubernetes made the variable: it gives each container several for every Service of its namespace, and those of
 * a Service called `flotilla-gateway` begin as ours do. Nobody set them, so they count as unset.
 */
function isOfKubernetes(variable: string, value: string): boolean {
  if (/_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$/.test(variable)) return true;
  if (/_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(variable)) return true;
  return /_PORT$/.test(variable) && /^(tcp|udp|sctp):\/\//i.test(value);
}

/** The setting that fewest changes make of `name`; undefined when that would be more than a third of it. */
function nearest(name: string): string | undefined {
  const byDistance = settingNames.map((setting) => ({ setting, distance: distanceBetween(name, setting) }));
  const [best] = byDistance.sort((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.max(1, name.length / 3) ? best.setting : undefined;
}

/** How many letters have to be inserted, removed or replaced (Levenshtein). */
function distanceBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (letter === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
