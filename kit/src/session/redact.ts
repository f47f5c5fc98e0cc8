import { currentContext } from "../base/context.ts";
import { FlotillaError, isErrorCode, reasonOf, toFlotillaError, withoutStack } from "../base/errors.ts";
import { printHidden } from "./hidden.ts";
import { refusedCallComplaint, stoppingReason } from "./stopping.ts";

/** Hears of every error that is sent as `internal`, with what the peer is not told. For the log of this process. */
export type OnHiddenError = (error: FlotillaError) => void;

/** Without `onHidden` it is `printHidden`. A log that fails must not take the session, or the process, with it. */
export function tellHidden(onHidden: OnHiddenError | undefined, error: FlotillaError): void {
  try {
    (onHidden ?? printHidden)(error);
  } catch {
    // Nobody is left to hear of it.
  }
}

/**
 * capnweb's own complaints, by the code a caller should see. Everything an application throws was made one of ours at
 * the boundary, so what else reaches `onSendError` comes from capnweb itself.
 */
const capnwebErrors: readonly (readonly [RegExp, "unimplemented" | "invalid_argument" | "unavailable", string])[] = [
  [
    /is not a function\.$|^This connection has no main object|^Attempted to access property|^Cannot read properties of|Can't dup an RpcTarget/,
    "unimplemented",
    "No such method",
  ],
  [
    /^bad RPC message|^unknown special value|^no such (entry|export)|^refcount|exceed|^Unknown bytes|^Invalid /,
    "invalid_argument",
    "Malformed message",
  ],
  [
    /shut down by disposing|was canceled because|after it (has been|was) disposed|owned payload shouldn't contain/,
    "unavailable",
    "The session or the capability was closed",
  ],
];

/**
 * For capnweb's `onSendError`, which sees every error that is about to leave: thrown, returned, nested in a value, in an
 * argument, a cause, or the reason of an abort. What leaves has the code as its name (clients in other languages look
 * there), a message and the allowed fields: no cause, no stack, no property of a driver. Never throws, because a throw
 * there would end the session.
 */
export function makeRedact(onHidden?: OnHiddenError): (error: Error) => Error {
  return (error) => {
    try {
      const ours = translate(error);
      if (ours.code === "internal") tellHidden(onHidden, ours);
      return wireError(ours);
    } catch {
      return wireError(new FlotillaError("internal", "Internal error", { requestId: currentContext()?.traceId }));
    }
  };
}

function translate(error: Error): FlotillaError {
  const requestId = currentContext()?.traceId;
  if (error instanceof FlotillaError || ("code" in error && isErrorCode(error.code))) {
    const ours = toFlotillaError(error, requestId);
    // Somebody else's refusal: what was asked here has begun.
    return reasonOf(ours) === stoppingReason ? new FlotillaError("unavailable", ours.message, { requestId }) : ours;
  }
  if (refusedCallComplaint.test(error.message)) {
    return new FlotillaError("unavailable", "The service is stopping", { reason: stoppingReason, requestId });
  }
  for (const [pattern, code, message] of capnwebErrors) {
    if (!pattern.test(error.message)) continue;
    return new FlotillaError(code, code === "unimplemented" ? nameMethod(message, error) : message, { requestId });
  }
  return toFlotillaError(error, requestId);
}

/** Where capnweb's complaint says which method was asked for. */
const askedFor = /^'(.+)' is not a function\.$|^Attempted to access property '(.+?)', which is an instance property/s;
/** Enough of a name to find it in one's own code. Characters. */
const methodCharsMax = 64;

/** `message` with what the caller asked for, as far as it can do no harm where somebody reads it. */
function nameMethod(message: string, { message: complaint }: Error): string {
  const match = askedFor.exec(complaint);
  const asked = match?.[1] ?? match?.[2];
  return asked === undefined ? message : `${message}: ${asked.slice(0, methodCharsMax).replace(/[^\x20-\x7e]/g, "?")}`;
}

/**
 * For what is thrown without being an Error: capnweb sends it as it is and asks `onSendError` nothing (measured). So the
 * reason of every `reject` and `abort` that is not a coded error by now becomes `internal`. Other messages pass.
 */
export function redactMessage(message: unknown, onHidden?: OnHiddenError): unknown {
  if (!Array.isArray(message) || (message[0] !== "reject" && message[0] !== "abort")) return message;
  const reason: unknown = message.at(-1);
  if (Array.isArray(reason) && reason[0] === "error" && isErrorCode(reason[1])) return message;
  const requestId = currentContext()?.traceId;
  const hidden = new FlotillaError("internal", "Internal error", { requestId, cause: reason });
  tellHidden(onHidden, hidden);
  const { code, message: text, retryable } = hidden;
  return [...message.slice(0, -1), ["error", code, text, null, { code, retryable, ...(requestId && { requestId }) }]];
}

/** The allow-list. A fresh object each time: capnweb sends every own enumerable property, and the stack if there is one. */
function wireError(error: FlotillaError): Error {
  const { code, message, reason, retryable, requestId, retryAfterMs } = error;
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  const fields = { code, retryable, ...(reason && { reason }), ...(requestId && { requestId }), ...wait };
  const wire = withoutStack(() => Object.assign(new Error(message), fields));
  wire.name = code;
  Object.defineProperty(wire, "stack", { value: undefined });
  return wire;
}
