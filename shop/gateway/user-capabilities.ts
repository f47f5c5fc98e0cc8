import { userLimits } from "../service/rate-settings.ts";
import { LimitReached } from "./limiter.ts";

/** The accounts and administrations that each user holds, over all sessions and batches. */
export interface UserCapabilities {
  /**
   * @returns gives the place back, once.
   * @throws LimitReached reason `capability_limit`: this call fails, and what is held stays.
   */
  take(userId: string): () => void;
}

export function makeUserCapabilities(capabilitiesMax: number = userLimits.capabilitiesMax): UserCapabilities {
  const heldOf = new Map<string, number>();
  return {
    take(userId) {
      const held = heldOf.get(userId) ?? 0;
      if (held >= capabilitiesMax) {
        const message = `A user holds at most ${capabilitiesMax} accounts and administrations; release some first`;
        throw new LimitReached(message, { reason: "capability_limit" });
      }
      heldOf.set(userId, held + 1);
      let isGiven = false;
      return () => {
        if (isGiven) return;
        isGiven = true;
        const left = heldOf.get(userId)! - 1;
        if (left > 0) heldOf.set(userId, left);
        else heldOf.delete(userId);
      };
    },
  };
}
