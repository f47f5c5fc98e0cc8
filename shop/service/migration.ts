import { FlotillaError } from "@flotilla/kit";

/** One step of a schema. Its version is its place in the service's list, from 1; a published step never changes. */
export interface Migration {
  readonly name: string;
  readonly sqlite: string;
  readonly postgres: string;
}

/**
 * How many of `migrations` were applied already, when `applied` are the names in the store `where`. Throws
 * `failed_precondition` for a store that newer code wrote or that is another service's.
 */
export function countApplied(applied: readonly string[], migrations: readonly Migration[], where: string): number {
  if (applied.length > migrations.length) {
    const versions = `version ${applied.length}, and this code knows ${migrations.length}`;
    throw refusal("store_too_new", `The store ${where} was written by newer code (${versions}); start that code`);
  }
  for (const [index, name] of applied.entries()) {
    if (name === migrations[index]?.name) continue;
    throw refusal("store_foreign", `The store ${where} is not this service's: its step ${index + 1} is "${name}"`);
  }
  return applied.length;
}

function refusal(reason: string, message: string): FlotillaError {
  return new FlotillaError("failed_precondition", message, { reason });
}
