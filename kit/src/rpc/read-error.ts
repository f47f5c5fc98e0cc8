import { FlotillaError, isErrorCode, isReason, withoutStack } from "../base/errors.ts";

/** An error of ours, by its fields; undefined for one that is none. */
export function codedError(message: string, fields: Readonly<Record<string, unknown>>): FlotillaError | undefined {
  const { code, retryable, reason, requestId, retryAfterMs } = fields;
  if (!isErrorCode(code) || typeof retryable !== "boolean") return undefined;
  const detail = {
    retryable,
    // A reason of other letters is left out by the error itself.
    reason: reason as string,
    // Trace ids are written as reasons are.
    requestId: isReason(requestId) ? requestId : undefined,
    retryAfterMs: retryAfterMs as number,
  };
  return withoutStack(() => new FlotillaError(code, message, detail));
}

const classes: Readonly<Record<string, ErrorConstructor>> = {
  ...{ Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError },
};

/** An error of JavaScript's, with its fields. SECURITY: without a stack. */
export function plainError(name: string, message: string, fields: Readonly<Record<string, unknown>>): Error {
  const make = Object.hasOwn(classes, name) ? classes[name]! : Error;
  const error = withoutStack(() => (name === "AggregateError" ? new AggregateError([], message) : new make(message)));
  for (const key of Object.keys(fields)) {
    if (key !== "name" && key !== "message" && key !== "stack") Object.assign(error, { [key]: fields[key] });
  }
  return error;
}
