import type { LeaseOptions } from "@flotilla/kit";
import { PostgresPlace } from "./postgres-place.ts";
import type { Settings } from "./settings.ts";

/** A change of what somebody may do waits so long at most for a service that does not answer. Milliseconds. */
const lifetimeMs = 1_000;

/** None on a store that other instances write too: no instance hears what another one has changed. */
export function leasesOf({ store }: Pick<Settings, "store">): LeaseOptions | undefined {
  return store instanceof PostgresPlace ? undefined : { lifetimeMs };
}
