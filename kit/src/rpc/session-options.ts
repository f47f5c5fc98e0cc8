import type { Clock } from "../base/clock.ts";
import type { CallContext } from "../base/context.ts";
import type { FlotillaError } from "../base/errors.ts";
import type { Limits } from "../base/limits.ts";
import type { Pace } from "../resilience/pace.ts";
import type { CallerPolicy, Received } from "./context-line.ts";
import type { OnHiddenError } from "./hidden.ts";
import type { SessionEnv } from "./session-env.ts";
import type { SendLimits } from "./writer.ts";

export interface RpcSessionOptions {
  readonly limits: Limits;
  readonly sendLimits: SendLimits;
  readonly callers: CallerPolicy;
  readonly clock: Clock;
  /** The object that the peer calls first. Owned by the session. */
  readonly localMain?: object | undefined;
  readonly env?: SessionEnv | undefined;
  /** The context of calls that bring none: of a batch, from its headers. Default: a fresh one for each call. */
  readonly callContext?: (Received & Pick<CallContext, "arrivedAtMs">) | undefined;
  /** How fast messages are worked off. Default: as they come. */
  readonly pace?: Pace | undefined;
  /** Hears why this side ended the session, when the peer was at fault. */
  readonly onRefused?: ((reason: FlotillaError) => void) | undefined;
  /** Hears why the session is over, as soon as it is; the channel may take a while yet to close. */
  readonly onFailed?: ((reason: FlotillaError) => void) | undefined;
  /** Hears when answers of our calls are asked for, and when they come. */
  readonly answers?: { onAsked(): void; onAnswer(isOverloaded: boolean): void } | undefined;
  /** Hears the peer's `sayStopping`, each time. */
  readonly onStopping?: (() => void) | undefined;
  /** Hears of lines before they are read, to charge for them, and of the messages that wait to be worked off. */
  readonly intake?: { lines(count: number): void; unread(change: number): void } | undefined;
  /** Hears every frame in both directions; for recordings in tests and for counting. */
  readonly onFrame?: ((direction: "in" | "out", frame: string) => void) | undefined;
  readonly onHiddenError?: OnHiddenError | undefined;
}
