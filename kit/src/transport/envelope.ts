import type { Clock } from "../base/clock.ts";
import { type CallContext, enterContext } from "../base/context.ts";
import { isServiceName, isTraceId, newSpanId } from "../base/ids.ts";
import { callersMax, deadlineMsMax } from "../base/limits.ts";
import { violation } from "./check.ts";

const traceparent = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;

/**
 * The context on the wire: a line that starts with `{` and holds for the messages after it in the same frame.
 * `tp` is a W3C traceparent, `ms` the time that is left (clocks differ, so no instant is sent), `via` the callers.
 */
export function writeContext(context: CallContext, clock: Clock): string {
  const ms = Math.max(0, Math.ceil(context.deadlineAtMs - clock.monotonicMs()));
  // Nothing in it needs escaping: ids are hex, and callers are names of services.
  return `{"tp":"${formatTraceparent(context)}","ms":${ms},"via":${JSON.stringify(context.callers)}}`;
}

/**
 * A line of its own, no context. Of a server: it is stopping, and takes calls only until the peer has said the same. Of a
 * client, in answer: what it sends from here on it does not expect to be taken (docs/protocol.md).
 */
export const stoppingLine = '{"stopping":true}';

/** How far a peer's word about its callers is taken over. At the edge it is dropped: it would be anybody's claim. */
export interface CallerPolicy {
  readonly keepCallers: boolean;
  /** Who the session's peer is; added as the last caller. Undefined for an anonymous one. */
  readonly peerName: string | undefined;
}

/** @throws FlotillaError `invalid_argument` when the line is not a context of ours. */
export function readContext(line: string, policy: CallerPolicy, clock: Clock): CallContext {
  const { tp, ms, via } = parseLine(line);
  const trace = parseTraceparent(tp);
  if (!trace || typeof ms !== "number" || !Number.isFinite(ms) || ms < 0) throw violation("bad context");
  if (!Array.isArray(via) || via.length > callersMax) throw violation("bad context");
  if (!via.every(isServiceName)) throw violation("bad context");
  return receivedContext(trace, ms, { ...policy, via, clock });
}

interface Received extends CallerPolicy {
  readonly via: readonly string[];
  readonly clock: Clock;
}

/** The context in which a received call runs: its own span, at most `deadlineMsMax` of time, its peer among the callers. */
export function receivedContext(traceId: string, remainingMs: number, from: Received): CallContext {
  const callers = from.keepCallers ? from.via : [];
  return {
    traceId,
    spanId: newSpanId(),
    deadlineAtMs: from.clock.monotonicMs() + Math.min(remainingMs, deadlineMsMax),
    callers: (from.peerName === undefined ? callers : [...callers, from.peerName]).slice(-callersMax),
  };
}

/** The trace id of a W3C traceparent, or undefined when it is none. */
export function parseTraceparent(value: unknown): string | undefined {
  const traceId = typeof value === "string" ? traceparent.exec(value)?.[1] : undefined;
  return isTraceId(traceId) ? traceId : undefined;
}

export function formatTraceparent(context: CallContext): string {
  return `00-${context.traceId}-${context.spanId}-01`;
}

function parseLine(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    throw violation("bad context");
  }
}

/**
 * Makes capnweb dispatch `message` inside `context`. capnweb's read loop restores its own context at each await and then
 * dispatches synchronously after reading `message[0]`, so the context is set by that read. This leans on a detail of
 * capnweb 0.12; `envelope.test.ts` fails when an upgrade changes it.
 */
export function carryContext(message: readonly unknown[], context: CallContext): readonly unknown[] {
  return new Carried(message, context) as unknown as readonly unknown[];
}

/** A message of two parts, such as `push` and `pull`. A class: an accessor on each array takes three times as long. */
class Carried {
  readonly #message: readonly unknown[];
  readonly #context: CallContext;

  constructor(message: readonly unknown[], context: CallContext) {
    this.#message = message;
    this.#context = context;
  }

  get 0(): unknown {
    enterContext(this.#context);
    return this.#message[0];
  }

  get 1(): unknown {
    return this.#message[1];
  }

  get length(): number {
    return 2;
  }
}
// capnweb takes what is an array.
Object.setPrototypeOf(Carried.prototype, Array.prototype);
