import { addressOf, type EtcdPlace, etcdPlaceOf, openDirectory } from "@flotilla/kit";
import { linkUrlOf, type Placement, type ServiceName, topology, urlVariable } from "../topology.ts";
import type { Environment } from "./variables.ts";

/** By service that is reached: one address, several with commas, or a directory, as `openDirectory` takes it. */
export type Places = Readonly<Partial<Record<ServiceName, string>>>;

/** Where a service that is found through a directory writes itself down. */
export interface RegistrationSettings {
  readonly place: EtcdPlace;
  /** Where others reach it; undefined for where it listens. */
  readonly address: string | undefined;
}

/** Of those that `name` reaches. Adds to `problems` what is wrong. */
export function readPlaces(name: ServiceName, env: Environment, at: Placement, problems: string[]): Places {
  const places: Partial<Record<ServiceName, string>> = {};
  for (const other of topology[name].reaches) {
    const variable = urlVariable(other);
    const text = env[variable] || linkUrlOf(other, at);
    if (isWellFormed(variable, () => openDirectory(text), problems)) places[other] = text;
  }
  return places;
}

export function readRegistration(
  name: ServiceName,
  env: Environment,
  problems: string[],
): RegistrationSettings | undefined {
  const { FLOTILLA_REGISTER: text, FLOTILLA_ADDRESS: address } = env;
  if (!text) {
    if (address) problems.push("FLOTILLA_ADDRESS: is told to nobody without FLOTILLA_REGISTER");
    return undefined;
  }
  let place: EtcdPlace | undefined;
  isWellFormed(
    "FLOTILLA_REGISTER",
    () => {
      place = etcdPlaceOf(text);
    },
    problems,
  );
  if (address) isWellFormed("FLOTILLA_ADDRESS", () => addressOf(address), problems);
  return place && { place: { ...place, prefix: `${place.prefix}${name}/` }, address: address || undefined };
}

function isWellFormed(variable: string, parse: () => unknown, problems: string[]): boolean {
  try {
    parse();
    return true;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    problems.push(`${variable}: ${error.message}`);
    return false;
  }
}
