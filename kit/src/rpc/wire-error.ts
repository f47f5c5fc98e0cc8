import { FlotillaError, reasonOf, toFlotillaError } from "../base/errors.ts";
import { type OnHiddenError, tellHidden } from "./hidden.ts";
import { stoppingReason, stoppingRefusal } from "./stopping.ts";

/**
 * An error as it leaves, from any source and at any place in a message. SECURITY: a code of ours and five fields, no
 * cause, no stack, no property of a driver; any other error leaves as `internal`. The code is also the name, because
 * clients in other languages look there.
 */
export function writeError(thrown: unknown, requestId: string | undefined, onHidden?: OnHiddenError): string {
  const error = outward(thrown, requestId);
  if (error.code === "internal") tellHidden(onHidden, error);
  const { code, message, reason, retryable, retryAfterMs } = error;
  const fields = { code, retryable, ...(reason && { reason }), ...idOf(error) };
  const all = retryAfterMs === undefined ? fields : { ...fields, retryAfterMs };
  return JSON.stringify(["error", code, message, null, all]);
}

function idOf({ requestId }: FlotillaError): { readonly requestId?: string } {
  return requestId === undefined ? {} : { requestId };
}

function outward(thrown: unknown, requestId: string | undefined): FlotillaError {
  try {
    const error = toFlotillaError(thrown, requestId);
    // Another service refused while stopping; the call has begun here.
    if (reasonOf(error) === stoppingReason && thrown !== stoppingRefusal) {
      return new FlotillaError("unavailable", error.message, { requestId: error.requestId });
    }
    return error;
  } catch {
    return new FlotillaError("internal", "Internal error", { requestId });
  }
}
