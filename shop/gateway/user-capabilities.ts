import type { Clock } from "@flotilla/kit";
import { userLimits } from "../service/rate-settings.ts";
import type { Lease } from "./lease.ts";
import { LimitReached } from "./limiter.ts";
import { makeReview } from "./review.ts";

/** The accounts and administrations that each user holds, over all sessions and batches. */
export interface UserCapabilities {
  /**
   * Takes a place. When all are taken, the leases that hold them are reviewed first: those whose login has ended give
   * their places back, so a stolen token that was logged out doesn't keep its user out.
   * @returns gives the place back; a second call does nothing.
   * @throws LimitReached reason `capability_limit`: this call fails, and what is held stays.
   */
  take(userId: string, lease: Reviewed): Promise<() => void>;
}

/** Its review gives its places back when its login has ended. */
type Reviewed = Pick<Lease, "token" | "review">;

export interface UserCapabilitiesOptions {
  readonly clock: Clock;
  /** Default `userLimits.capabilitiesMax`. */
  readonly capabilitiesMax?: number;
}

interface Places {
  /** Each place by the function that gives it back. */
  readonly leases: Map<() => void, Reviewed>;
  review(): Promise<void>;
}

export function makeUserCapabilities(options: UserCapabilitiesOptions): UserCapabilities {
  const { clock, capabilitiesMax = userLimits.capabilitiesMax } = options;
  const placesOf = new Map<string, Places>();

  return {
    async take(userId, lease) {
      if (heldBy(userId) >= capabilitiesMax) await placesOf.get(userId)!.review();
      if (heldBy(userId) >= capabilitiesMax) {
        const message = `A user holds at most ${capabilitiesMax} accounts and administrations; release some first`;
        throw new LimitReached(message, { reason: "capability_limit" });
      }
      const places = placesOf.get(userId) ?? newPlaces();
      const give = () => {
        if (places.leases.delete(give) && places.leases.size === 0) placesOf.delete(userId);
      };
      places.leases.set(give, lease);
      placesOf.set(userId, places);
      return give;
    },
  };

  function heldBy(userId: string): number {
    return placesOf.get(userId)?.leases.size ?? 0;
  }

  function newPlaces(): Places {
    const leases: Places["leases"] = new Map();
    return { leases, review: makeReview(clock, () => reviewAll(leases)) };
  }
}

/** One question for each token: leases by the same token share its login, so the others are asked only after a refusal. */
async function reviewAll(leases: Places["leases"]): Promise<void> {
  const byToken = Map.groupBy(leases, ([, { token }]) => token);
  const reviewSome = async ([first, ...others]: [() => void, Reviewed][]) => {
    await first![1].review();
    if (!leases.has(first![0])) await Promise.all(others.map(([, lease]) => lease.review()));
  };
  await Promise.all([...byToken.values()].map(reviewSome));
}
