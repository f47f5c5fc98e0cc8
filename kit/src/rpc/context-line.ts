import type { Clock } from "../base/clock.ts";
import type { CallContext } from "../base/context.ts";
import { isServiceName } from "../base/ids.ts";
import { callersMax, deadlineMsMax } from "../base/limits.ts";
import { violation } from "../transport/refusals.ts";

const traceparent = /^00-((?!0{32})[0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;

/**
 * The context on the wire: an object that holds for the messages after it in the same frame. `tp` is a W3C traceparent,
 * `ms` the time that is left (clocks differ, so no instant is sent), `via` the callers.
 */
export function writeContext(context: CallContext, clock: Clock): string {
  const ms = Math.max(0, Math.ceil(context.deadlineAtMs - clock.monotonicMs()));
  // Nothing in it needs escaping: ids are hex, and callers are names of services.
  return `{"tp":"${formatTraceparent(context)}","ms":${ms},"via":${JSON.stringify(context.callers)}}`;
}

/**
 * A line of its own, no context. A server says that it is stopping, and takes calls until the peer has said the same. A
 * client answers with it, and expects no call that it sends later to be taken (docs/protocol.md).
 */
export const stoppingLine = '{"stopping":true}';

/** How far a peer's word about its callers is taken over. At the edge it is dropped: it would be anybody's claim. */
export interface CallerPolicy {
  readonly keepCallers: boolean;
  /** Name of the session's peer, added as the last caller. Undefined for an anonymous one. */
  readonly peerName: string | undefined;
}

/** The context that calls after one context line share. */
export type Received = Pick<CallContext, "traceId" | "deadlineAtMs" | "callers">;

/** @throws FlotillaError `invalid_argument` when `line` is not a context of ours. */
export function readContext(line: object, policy: CallerPolicy, nowMs: number): Received {
  const { tp, ms, via } = line as Record<string, unknown>;
  const traceId = parseTraceparent(tp);
  if (!traceId || typeof ms !== "number" || !Number.isFinite(ms) || ms < 0) throw violation("bad context");
  if (!Array.isArray(via) || via.length > callersMax || !via.every(isServiceName)) throw violation("bad context");
  return received(traceId, ms, { ...policy, via, nowMs });
}

interface From extends CallerPolicy {
  readonly via: readonly string[];
  readonly nowMs: number;
}

/** At most `deadlineMsMax` of time, and the peer among the callers. */
export function received(traceId: string, remainingMs: number, from: From): Received {
  const callers = from.keepCallers ? from.via : none;
  return {
    traceId,
    deadlineAtMs: from.nowMs + Math.min(remainingMs, deadlineMsMax),
    callers: from.peerName === undefined ? callers : [...callers, from.peerName].slice(-callersMax),
  };
}
const none: readonly string[] = [];

/** The trace id of a W3C traceparent, or undefined when it is none. */
export function parseTraceparent(value: unknown): string | undefined {
  return typeof value === "string" ? traceparent.exec(value)?.[1] : undefined;
}

function formatTraceparent(context: CallContext): string {
  return `00-${context.traceId}-${context.spanId}-01`;
}
