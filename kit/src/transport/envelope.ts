import type { Clock } from "../base/clock.ts";
import { type CallContext, enterContext } from "../base/context.ts";
import { isServiceName, isTraceId, newSpanId } from "../base/ids.ts";
import { callersMax, deadlineMsMax } from "../base/limits.ts";
import { violation } from "./check.ts";

/**
 * The context on the wire: a line that starts with `{` and holds for the messages after it in the same frame.
 * `tp` is a W3C traceparent, `ms` the time that is left (clocks differ, so no instant is sent), `via` the callers.
 */
interface ContextLine {
  readonly tp: string;
  readonly ms: number;
  readonly via: readonly string[];
}

const traceparent = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;

export function writeContext(context: CallContext, clock: Clock): string {
  const ms = Math.max(0, Math.ceil(context.deadlineAtMs - clock.monotonicMs()));
  const line: ContextLine = { tp: formatTraceparent(context), ms, via: context.callers };
  return JSON.stringify(line);
}

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
export function carryContext(message: unknown[], context: CallContext): unknown[] {
  const operation = message[0];
  return Object.defineProperty(message, 0, {
    get() {
      enterContext(context);
      return operation;
    },
  });
}
