import type { IncomingMessage } from "node:http";
import type { RpcTarget } from "capnweb";
import type { Clock } from "../base/clock.ts";
import type { CallContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { newTraceId } from "../base/ids.ts";
import { batchBytesMax, batchCallsMax, deadlineMsDefault, type Limits } from "../base/limits.ts";
import type { Channel, ChannelEvents } from "../transport/channel.ts";
import { type CallerPolicy, parseTraceparent, receivedContext } from "../transport/envelope.ts";
import type { OnHiddenError } from "./redact.ts";
import { openSession } from "./session.ts";

/** Beyond the calls' own deadline, for what no boundary bounds, such as a call on a callback. Milliseconds. */
const graceMs = 500;

export interface BatchOptions {
  readonly localMain: RpcTarget;
  readonly limits: Limits;
  readonly context: CallContext;
  readonly callers: CallerPolicy;
  readonly clock: Clock;
  readonly onHiddenError?: OnHiddenError | undefined;
  /** Aborted when the client went away: the session ends at once. */
  readonly gone: AbortSignal;
}

/**
 * Runs one HTTP batch as a session of its own and always tears it down: its exports are disposed before this returns
 * (the stock handler leaks them; measured). Owns `options.localMain`.
 *
 * @param body newline-delimited messages; empty lines are legal.
 * @returns the answer's lines.
 * @throws FlotillaError `invalid_argument` for malformed input, `resource_exhausted` for too many calls,
 *   `deadline_exceeded` when something hung.
 */
export async function runBatch(body: string, options: BatchOptions): Promise<string> {
  const { clock, context } = options;
  const lines = body.split("\n").filter((line) => line.trim() !== "");
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => {});
  const answers: string[] = [];
  const channel = makeBatchChannel(answers, ended.reject);
  const session = openSession(channel, { ...options, callContext: context });
  const remainingMs = context.deadlineAtMs - clock.monotonicMs();
  const cancelTimeout = clock.after(remainingMs + graceMs, () =>
    ended.reject(
      new FlotillaError("deadline_exceeded", "The batch took longer than its deadline", { requestId: context.traceId }),
    ),
  );
  const onGone = () => ended.reject(new FlotillaError("unavailable", "The client went away"));
  options.gone.addEventListener("abort", onGone, { once: true });
  try {
    const calls = lines.filter((line) => line.trimStart().startsWith('["push"')).length;
    if (calls > batchCallsMax)
      throw new FlotillaError("resource_exhausted", `A batch takes at most ${batchCallsMax} calls`);
    for (const line of lines) channel.arrive(line);
    // capnweb reads all that has arrived within one turn; only then does it know which calls are waited for.
    await Promise.race([nextTurn().then(() => session.drain()), ended.promise]);
    return answers.join("\n");
  } finally {
    cancelTimeout();
    options.gone.removeEventListener("abort", onGone);
    session.close(new FlotillaError("unavailable", "The batch has ended"));
  }
}

/** A batch as a channel: what arrives are the lines of the request, what is sent are the lines of the answer. */
function makeBatchChannel(
  answers: string[],
  failed: (reason: FlotillaError) => void,
): Channel & { arrive(line: string): void } {
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
    close() {
      if (isOver) return;
      isOver = true;
      // Ended by us this settles nothing any more; ended by capnweb or the guard, the input was at fault.
      const message = "The batch is not valid Cap'n Web";
      failed(new FlotillaError("invalid_argument", message, { reason: "protocol_violation" }));
      events?.closed(new FlotillaError("unavailable", "The batch has ended"));
    },
    terminate() {
      this.close(1008, "");
    },
  };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The context of a batch, from `traceparent` and `flotilla-timeout-ms`; what is malformed counts as absent. */
export function contextOfRequest(request: IncomingMessage, callers: CallerPolicy, clock: Clock): CallContext {
  const traceId = parseTraceparent(request.headers.traceparent) ?? newTraceId();
  const asked = request.headers["flotilla-timeout-ms"];
  const timeoutMs = typeof asked === "string" && /^\d{1,6}$/.test(asked) ? Number(asked) : deadlineMsDefault;
  return receivedContext(traceId, timeoutMs, { ...callers, via: [], clock });
}

/**
 * The request's body as text.
 * @throws FlotillaError `resource_exhausted`, reason `body_too_large`, above `batchBytesMax`; `unavailable` when the client went away.
 */
export async function readBody(request: IncomingMessage): Promise<string> {
  if (Number(request.headers["content-length"] ?? 0) > batchBytesMax) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > batchBytesMax) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function tooLarge(): FlotillaError {
  return new FlotillaError("resource_exhausted", `A batch takes at most ${batchBytesMax} bytes`, {
    reason: "body_too_large",
    retryable: false,
  });
}
