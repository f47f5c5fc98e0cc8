import type { StoreFile } from "./database.ts";
import type { Log } from "./log.ts";
import type { OnHealth } from "./sqlite-health.ts";

const words = {
  well: "the store keeps what is written again",
  failing: "the store does not keep what is written: it is full, or failing",
  damaged: "the store is damaged: nothing is written to it any more. Stop the service, and restore it from a backup",
} as const;

/** Tells whoever runs the service, who cannot hear it from its callers' errors. */
export function tellHealth(log: Log): OnHealth {
  return (health, err) => {
    if (health === "well") log.info(words.well);
    else log.error({ err }, words[health]);
  };
}

/** For `/readyz`. */
export function isWritable({ isWritable }: StoreFile): boolean {
  return isWritable?.() ?? true;
}
