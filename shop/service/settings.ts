import { isAddressRange, originOf } from "@flotilla/kit";
import { opsPortVariable, type Placement, type ServiceName, topology, urlVariable } from "../topology.ts";
import { placementIn } from "./placement.ts";
import { type Places, type RegistrationSettings, readPlaces, readRegistration } from "./places.ts";
import type { PostgresPlace } from "./postgres-place.ts";
import { type RateSettings, readRates } from "./rate-settings.ts";
import { attempt, StartError } from "./start-error.ts";
import { readStore } from "./store-setting.ts";
import { type Environment, readPort } from "./variables.ts";

/** Everything a service reads of its environment. */
export interface Settings {
  readonly placement: Placement;
  /** Where the services are that it reaches. */
  readonly places: Places;
  /** Undefined for nowhere. */
  readonly registration: RegistrationSettings | undefined;
  readonly logLevel: LogLevel;
  /** Where `/metrics` and the details of `/readyz` are served, on loopback; undefined for nowhere. */
  readonly opsPort: number | undefined;
  /** Web pages that may call the gateway. */
  readonly origins: readonly string[];
  /** Who may say, by `X-Forwarded-For`, where a client of the gateway is. */
  readonly trustedProxies: readonly string[];
  /** What the gateway lets one network and one user do. */
  readonly rates: RateSettings;
  /** The service's database of PostgreSQL; undefined for a file in the data directory. It prints without its password. */
  readonly store: PostgresPlace | undefined;
}

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
type LogLevel = (typeof logLevels)[number];

/** Throws one `StartError` that lists everything that is wrong. */
export function readSettings(name: ServiceName, env: Environment): Settings {
  const problems: string[] = [];
  const placement = placementIn(env, portsReadBy(name, env), problems);
  const logLevel = readLogLevel(env.FLOTILLA_LOG_LEVEL || "info", problems);
  const opsPort = readPort(opsPortVariable(name), env, problems);
  const origins = readOrigins(env.FLOTILLA_ORIGINS || "", problems);
  const trustedProxies = readProxies(env.FLOTILLA_TRUSTED_PROXIES || "", problems);
  const rates = readRates(env, problems);
  const store = attempt(() => readStore(name, env), problems);
  const places = readPlaces(name, env, placement, problems);
  const registration = readRegistration(name, env, problems);
  if (problems.length > 0) throw new StartError("bad_settings", problems.join("\n"));
  return { placement, places, registration, logLevel, opsPort, origins, trustedProxies, rates, store };
}

/** A service reads its own port, and that of a service it reaches only when nothing else says where that one is. */
function portsReadBy(name: ServiceName, env: Environment): ServiceName[] {
  return [name, ...topology[name].reaches.filter((other) => !env[urlVariable(other)] && !env.FLOTILLA_SOCKETS)];
}

function readLogLevel(text: string, problems: string[]): LogLevel {
  const level = logLevels.find((known) => known === text);
  if (!level) problems.push(`FLOTILLA_LOG_LEVEL: expected one of ${logLevels.join(", ")}, got ${JSON.stringify(text)}`);
  return level ?? "info";
}

function readOrigins(text: string, problems: string[]): string[] {
  return listOf(text).flatMap((entry) => {
    try {
      return [originOf(entry)];
    } catch (error) {
      problems.push(`FLOTILLA_ORIGINS: ${(error as Error).message}`);
      return [];
    }
  });
}

function readProxies(text: string, problems: string[]): string[] {
  return listOf(text).filter((proxy) => {
    if (isAddressRange(proxy)) return true;
    const expected = "IP addresses or ranges such as 10.0.0.0/8";
    problems.push(`FLOTILLA_TRUSTED_PROXIES: expected ${expected}, got ${JSON.stringify(proxy)}`);
    return false;
  });
}

/** What stands between commas. */
function listOf(text: string): string[] {
  return text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}
