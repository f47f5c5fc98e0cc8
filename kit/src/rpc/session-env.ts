import type { Holdings } from "../base/holdings.ts";
import type { OnAnswered } from "../base/observer.ts";
import type { Peer } from "../base/peer.ts";
import type { SessionTurns } from "../resilience/turns.ts";

/** One live session, as the objects that are called over it see it. */
export interface SessionEnv {
  /** Undefined when the session was opened without one. */
  readonly peer?: Peer | undefined;
  /** Limits how many of its calls run at once; undefined where no call queues. */
  readonly turns?: SessionTurns | undefined;
  /** Counts the capabilities that the peer got as results; undefined where nothing bounds them. */
  readonly holdings?: Holdings | undefined;
  /** Hears of each call that was answered. It must not throw. */
  readonly onAnswered?: OnAnswered | undefined;
}
