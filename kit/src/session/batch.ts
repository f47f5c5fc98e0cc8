import type { IncomingMessage } from "node:http";
import type { RpcTarget } from "capnweb";
import type { Clock } from "../base/clock.ts";
import type { CallContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { newTraceId } from "../base/ids.ts";
import { batchCallsMax, batchMessagesMax, deadlineMsDefault, type Limits } from "../base/limits.ts";
import type { Channel, ChannelEvents } from "../transport/channel.ts";
import { checkMessage, makePeerBudget, violation } from "../transport/check.ts";
import { type CallerPolicy, parseTraceparent, receivedContext } from "../transport/envelope.ts";
import type { Pace } from "../transport/pace.ts";
import type { Intake } from "./intake.ts";
import type { OnHiddenError } from "./redact.ts";
import { openSession } from "./session.ts";

/** Beyond the calls' own deadline, for what no boundary bounds, such as a call on a callback. Milliseconds. */
const graceMs = 500;

/** For whatever still waits inside of a batch that was answered. One for all: nothing outside of it hears it. */
const batchEnded = new FlotillaError("unavailable", "The batch has ended");

export interface BatchOptions {
  readonly localMain: RpcTarget;
  readonly limits: Limits;
  readonly context: CallContext;
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
 * @throws FlotillaError `invalid_argument` for malformed input, `resource_exhausted` for too many calls,
 *   `deadline_exceeded` when something hung.
 */
export async function runBatch(body: string, options: BatchOptions): Promise<string> {
  const { clock, limits, intake } = options;
  // Its client had time to send it.
  const context: CallContext = { ...options.context, arrivedAtMs: clock.monotonicMs() };
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => {});
  const answers: string[] = [];
  const channel = makeBatchChannel(answers, ended.reject);
  // The lines are charged for here, all at once.
  const unread = intake && { lines: () => {}, unread: intake.unread };
  const session = openSession(channel, { ...options, intake: unread, callContext: context });
  const cancelTimeout = clock.after(context.deadlineAtMs - clock.monotonicMs() + graceMs, () =>
    ended.reject(
      new FlotillaError("deadline_exceeded", "The batch took longer than its deadline", { requestId: context.traceId }),
    ),
  );
  const onEnded = () => ended.reject(options.ended.reason as FlotillaError);
  options.ended.addEventListener("abort", onEnded, { once: true });
  if (options.ended.aborted) onEnded();
  try {
    const lines = body.split("\n").filter((line) => line.trim() !== "");
    if (lines.length > batchMessagesMax) throw tooMany(`A batch takes at most ${batchMessagesMax} messages`);
    intake?.lines(lines.length);
    checkBatch(lines, limits);
    for (const line of lines) channel.arrive(line);
    await Promise.race([ended.promise, session.drain()]);
    return answers.join("\n");
  } finally {
    cancelTimeout();
    options.ended.removeEventListener("abort", onEnded);
    channel.finish();
    session.close(batchEnded);
  }
}

/** The transport checks again, but message by message, when those before may have run. */
function checkBatch(lines: readonly string[], limits: Limits): void {
  const budget = makePeerBudget();
  let calls = 0;
  for (const line of lines) {
    const message = parse(line);
    if (Array.isArray(message) && message[0] === "push") calls += 1;
    if (calls > batchCallsMax) throw tooMany(`A batch takes at most ${batchCallsMax} calls`);
    checkMessage(message, budget, limits);
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw violation("not JSON");
  }
}

function tooMany(message: string): FlotillaError {
  return new FlotillaError("resource_exhausted", message, { reason: "protocol_limit", retryable: false });
}

/** A batch as a channel: what arrives are the lines of the request, what is sent are the lines of the answer. */
function makeBatchChannel(
  answers: string[],
  failed: (reason: FlotillaError) => void,
): Channel & { arrive(line: string): void; finish(): void } {
  let events: ChannelEvents | undefined;
  let isOver = false;
  return {
    framing: "capnweb",
    listen(listener) {
      events = listener;
    },
    arrive: (line) => events?.frame(line),
    send(frame) {
      if (!isOver) answers.push(frame);
    },
    bufferedBytes: () => 0,
    /** From now on nothing is sent, and its end is nobody's fault. */
    finish() {
      isOver = true;
    },
    close() {
      // Not by us, so by capnweb or the guard: the input was at fault.
      if (isOver) return;
      const message = "The batch is not valid Cap'n Web";
      end(new FlotillaError("invalid_argument", message, { reason: "protocol_violation" }));
    },
    terminate() {
      const message = "The answer is larger than the limit";
      end(new FlotillaError("resource_exhausted", message, { reason: "answer_too_large", retryable: false }));
    },
  };

  function end(reason: FlotillaError): void {
    if (isOver) return;
    isOver = true;
    failed(reason);
    events?.closed(batchEnded);
  }
}

/** Known to whoever sent a `traceparent`; what is malformed counts as absent. */
export function traceIdOf(request: IncomingMessage): string {
  return parseTraceparent(request.headers.traceparent) ?? newTraceId();
}

/** The context of a batch, from `traceparent` and `flotilla-timeout-ms`; what is malformed counts as absent. */
export function contextOfRequest(request: IncomingMessage, callers: CallerPolicy, clock: Clock): CallContext {
  const asked = request.headers["flotilla-timeout-ms"];
  const timeoutMs = typeof asked === "string" && /^\d{1,6}$/.test(asked) ? Number(asked) : deadlineMsDefault;
  return receivedContext(traceIdOf(request), timeoutMs, { ...callers, via: [], clock });
}

export function clientWentAway(): FlotillaError {
  return new FlotillaError("unavailable", "The client went away");
}
