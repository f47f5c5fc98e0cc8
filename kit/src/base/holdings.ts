import { FlotillaError } from "./errors.ts";

/** `reason` of calls that would have answered with one capability too many. */
export const capabilityLimitReason = "capability_limit";

/** The capabilities that one session got as results and has not released. */
export interface Holdings {
  /**
   * @returns gives the place back; to be called once.
   * @throws FlotillaError `resource_exhausted`, reason `capability_limit`: this call fails, the session and what it holds
   *   live on.
   */
  take(): () => void;
}

export function makeHoldings(capabilitiesMax: number): Holdings {
  let held = 0;
  return {
    take() {
      if (held >= capabilitiesMax) {
        const message = `A session holds at most ${capabilitiesMax} capabilities; release some first`;
        throw new FlotillaError("resource_exhausted", message, { reason: capabilityLimitReason });
      }
      held += 1;
      return () => {
        held -= 1;
      };
    },
  };
}
