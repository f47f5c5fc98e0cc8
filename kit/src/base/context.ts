import { type Clock, systemClock } from "./clock.ts";
import { FlotillaError } from "./errors.ts";
import { isServiceName, isTraceId, newSpanId, newTraceId } from "./ids.ts";
import { callersMax, deadlineMsDefault, deadlineMsMax } from "./limits.ts";
import { makeStorage } from "./platform.ts";

/**
 * Facts that travel with every call and are no arguments: the trace, the time that is left, and who called on the way.
 * It is information, never authority: a peer may write anything into it.
 */
export interface CallContext {
  /** W3C trace id, 32 hex characters. Also the `requestId` of errors. */
  readonly traceId: string;
  /** The caller's span, 16 hex characters. */
  readonly spanId: string;
  /** On `Clock.monotonicMs` of this process: when the caller stops waiting. */
  readonly deadlineAtMs: number;
  /** On the same clock, when this process read the call; undefined for what it calls itself. */
  readonly arrivedAtMs?: number | undefined;
  /** Names of the services the call came through, first caller first. */
  readonly callers: readonly string[];
  /** The call in which it came to be, if that is so: once that is answered, its deadline binds nothing that begins later. */
  readonly origin?: { readonly isAnswered: boolean } | undefined;
  /** The one that its times are on. */
  readonly clock?: Clock | undefined;
}

/** The context in which one call is carried out. */
export class CallScope implements CallContext {
  readonly traceId: string;
  readonly deadlineAtMs: number;
  readonly arrivedAtMs: number | undefined;
  readonly callers: readonly string[];
  readonly clock: Clock;
  isAnswered = false;
  #spanId: string | undefined;

  constructor(of: Pick<CallContext, "traceId" | "deadlineAtMs" | "callers">, clock: Clock, arrivedAtMs?: number) {
    this.clock = clock;
    this.traceId = of.traceId;
    this.deadlineAtMs = of.deadlineAtMs;
    this.callers = of.callers;
    this.arrivedAtMs = arrivedAtMs;
  }

  /** Made on demand, since most calls make no further ones. */
  get spanId(): string {
    this.#spanId ??= newSpanId();
    return this.#spanId;
  }

  get origin(): { readonly isAnswered: boolean } {
    return this;
  }
}

/** Wishes of a caller for the calls that it makes. */
export interface ContextRequest {
  /** Milliseconds from now; it can only shorten what an enclosing context leaves. Default 10 s, at most 30 s. */
  readonly timeoutMs?: number;
  readonly traceId?: string;
  readonly callers?: readonly string[];
}

const storage = makeStorage<CallContext | undefined>();

/** The context of the call that is running, or undefined outside any. */
export function currentContext(): CallContext | undefined {
  return storage.getStore();
}

/** The same, unless the call it is of was answered: then it binds nothing that begins now. */
export function bindingContext(): CallContext | undefined {
  const context = storage.getStore();
  return context && !isOver(context) ? context : undefined;
}

/** Runs `run`, and every call made in it, with a context derived from the current one. */
export function withContext<T>(request: ContextRequest, run: () => T, clock: Clock = systemClock): T {
  return storage.run(deriveContext(request, clock), run);
}

/**
 * A context for `request` within the current one: the deadline never grows, the trace stays.
 * @throws TypeError for what no peer would take: it would end the session, with everybody's calls on it.
 */
export function deriveContext(request: ContextRequest, clock: Clock): CallContext {
  assertSendable(request);
  const outer = storage.getStore();
  const timeoutMs = Math.min(Math.max(request.timeoutMs ?? deadlineMsDefault, 0), deadlineMsMax);
  const asked = clock.monotonicMs() + timeoutMs;
  const isBound = outer !== undefined && !isOver(outer);
  return {
    traceId: request.traceId ?? outer?.traceId ?? newTraceId(),
    spanId: newSpanId(),
    deadlineAtMs: isBound ? Math.min(outer.deadlineAtMs, asked) : asked,
    callers: (request.callers ?? outer?.callers ?? []).slice(0, callersMax),
    origin: isBound ? outer.origin : undefined,
    clock,
  };
}

/** The call that it is of was answered. */
function isOver({ origin }: CallContext): boolean {
  return origin?.isAnswered === true;
}

/** The context of a call that is made now. */
export function contextToSend(clock: Clock): CallContext {
  const current = bindingContext();
  if (!current) return deriveContext({}, clock);
  const own = current.clock ?? clock;
  if (own === clock) return current;
  // Time is left on one clock as on another; an instant means nothing there.
  return { ...deriveContext({}, clock), deadlineAtMs: current.deadlineAtMs - own.monotonicMs() + clock.monotonicMs() };
}

/** Runs `run` in the context of the call that it carries out. */
export function runInContext<A extends unknown[], R>(context: CallContext, run: (...args: A) => R, ...args: A): R {
  return storage.run(context, run, ...args);
}

function assertSendable({ timeoutMs, traceId, callers = [] }: ContextRequest): void {
  if (timeoutMs !== undefined && Number.isNaN(timeoutMs)) throw new TypeError("timeoutMs is not a number");
  if (traceId !== undefined && !isTraceId(traceId)) throw new TypeError("traceId is not a W3C trace id");
  if (!callers.every(isServiceName)) throw new TypeError("callers are names of services");
}

/**
 * Runs `run` with the trace and the callers of the current call, but time of its own: for work that others will use too,
 * and that must not fail because the one who came first was in a hurry.
 */
export function withOwnDeadline<T>(run: () => T, clock: Clock = systemClock): T {
  const outer = storage.getStore();
  const request = outer ? { traceId: outer.traceId, callers: outer.callers } : {};
  return storage.run(undefined, () => withContext(request, run, clock));
}

/**
 * What the current call waits for before it is sent, at most until its deadline: it has that from the start.
 * @throws FlotillaError `deadline_exceeded`.
 */
export function inTime<T>(awaited: Promise<T>, clock: Clock): Promise<T> {
  const context = bindingContext();
  if (!context) return awaited;
  const late = Promise.withResolvers<never>();
  const cancel = clock.after(context.deadlineAtMs - clock.monotonicMs(), () => late.reject(deadlineExceeded()));
  return Promise.race([awaited, late.promise]).finally(cancel);
}

/** The error of a call whose deadline has passed. */
export function deadlineExceeded(requestId?: string): FlotillaError {
  return new FlotillaError("deadline_exceeded", "The call took longer than its deadline", { requestId });
}

/** @returns a function that runs `run` in the context of now, whenever it is called. */
export function bindContext(run: () => void): () => void {
  const context = storage.getStore();
  return () => storage.run(context, run);
}

/** Runs `run` outside any call: for what outlives the call that happened to start it, such as a connection. */
export function outsideContext<T>(run: () => T): T {
  return storage.run(undefined, run);
}
