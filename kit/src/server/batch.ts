import type { IncomingMessage } from "node:http";
import type { Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { newTraceId } from "../base/ids.ts";
import { batchCallsMax, batchMessagesMax, deadlineMsDefault, type Limits, linkLimits } from "../base/limits.ts";
import type { Pace } from "../resilience/pace.ts";
import { type CallerPolicy, parseTraceparent, type Received, received } from "../rpc/context-line.ts";
import type { OnHiddenError } from "../rpc/hidden.ts";
import type { SessionEnv } from "../rpc/session-env.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { openSession } from "../session/session.ts";
import type { Channel, ChannelEvents } from "../transport/channel.ts";
import { exhausted } from "../transport/refusals.ts";
import type { Intake } from "./intake.ts";

/** For whatever still waits inside of a batch that was answered. One for all: nothing outside of it hears it. */
const batchEnded = new FlotillaError("unavailable", "The batch has ended");

/** A client that takes its batch back has sent none. */
const notWhole = new FlotillaError("invalid_argument", "The batch is not valid Cap'n Web", {
  reason: "protocol_violation",
});

export interface BatchOptions {
  readonly localMain: RpcTarget;
  readonly env?: SessionEnv | undefined;
  readonly limits: Limits;
  readonly context: Received;
  readonly callers: CallerPolicy;
  readonly clock: Clock;
  readonly pace?: Pace | undefined;
  readonly onHiddenError?: OnHiddenError | undefined;
  /** Is charged for the messages, and hears how many of them wait to be read. */
  readonly intake?: Pick<Intake, "lines" | "unread"> | undefined;
  /** Aborted, with a FlotillaError, when nobody waits any more or nothing may run any more: the batch ends with it. */
  readonly ended: AbortSignal;
}

/**
 * Runs one HTTP batch as a session of its own and always tears it down: its exports are disposed before this returns
 * (the stock handler leaks them; measured). A body that is refused for what it is has run nothing.
 * Owns `options.localMain`.
 *
 * @param body newline-delimited messages; empty lines are legal.
 * @returns the answer's lines.
 * @throws FlotillaError `invalid_argument` for malformed input, `resource_exhausted` for too many calls; what `ended` was
 *   aborted with.
 */
export async function runBatch(body: string, options: BatchOptions): Promise<string> {
  const { clock, limits } = options;
  // Its client had time to send it.
  const context = { ...options.context, arrivedAtMs: clock.monotonicMs() };
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => {});
  const answers: string[] = [];
  const channel = makeBatchChannel(answers);
  // Calls are counted as those of a session that lets go of none.
  const own = { limits: { ...limits, outstandingCallsMax: batchCallsMax }, callContext: context };
  const sendLimits = { ...linkLimits, frameBytesMax: limits.sendBufferBytesMax };
  const session = openSession(channel, { ...options, ...own, sendLimits });
  void session.closed.then((reason) => ended.reject(reason.code === "unavailable" ? notWhole : reason));
  const onEnded = () => ended.reject(options.ended.reason as FlotillaError);
  options.ended.addEventListener("abort", onEnded, { once: true });
  if (options.ended.aborted) onEnded();
  try {
    const lines = body.split("\n").filter((line) => line.trim() !== "");
    if (lines.length > batchMessagesMax) throw exhausted(`a batch of more than ${batchMessagesMax} messages`);
    if (lines.length > 0) channel.arrive(lines.join("\n"));
    await Promise.race([ended.promise, session.drain()]);
    return answers.join("\n");
  } finally {
    options.ended.removeEventListener("abort", onEnded);
    channel.finish();
    session.close(batchEnded);
  }
}

/** A batch as a channel: the request's body is the one frame that arrives, and sent frames are lines of the answer. */
function makeBatchChannel(answers: string[]): Channel & { arrive(body: string): void; finish(): void } {
  let events: ChannelEvents | undefined;
  let isOver = false;
  return {
    framing: "batch",
    listen(listener) {
      events = listener;
    },
    arrive: (body) => events?.frame(body),
    send(frame) {
      if (!isOver) answers.push(frame);
    },
    bufferedBytes: () => 0,
    finish() {
      isOver = true;
    },
    close() {},
    terminate() {},
  };
}

/** Known to whoever sent a `traceparent`; what is malformed counts as absent. */
export function traceIdOf(request: IncomingMessage): string {
  return parseTraceparent(request.headers.traceparent) ?? newTraceId();
}

/** The context of a batch, from `traceparent` and `flotilla-timeout-ms`; what is malformed counts as absent. */
export function contextOfRequest(request: IncomingMessage, callers: CallerPolicy, clock: Clock): Received {
  const asked = request.headers["flotilla-timeout-ms"];
  const timeoutMs = typeof asked === "string" && /^\d{1,6}$/.test(asked) ? Number(asked) : deadlineMsDefault;
  return received(traceIdOf(request), timeoutMs, { ...callers, via: [], nowMs: clock.monotonicMs() });
}

export function clientWentAway(): FlotillaError {
  return new FlotillaError("unavailable", "The client went away");
}
