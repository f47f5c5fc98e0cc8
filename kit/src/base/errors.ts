/**
 * The closed set of error codes. The code says what the caller can do, not where it happened; the names are gRPC's.
 * Class identity dies on the wire: match on `code`.
 */
export const errorCodes = {
  invalid_argument: "the call is malformed; change it before calling again",
  unauthenticated: "who is calling could not be established; log in again",
  permission_denied: "the caller is known and may not do this",
  not_found: "the thing named does not exist, or the caller may not know that it does",
  already_exists: "the thing to be made exists already",
  failed_precondition: "the state of the thing forbids this; look at it before calling again",
  resource_exhausted: "a limit was reached; call less, or later",
  deadline_exceeded: "time ran out; the call may or may not have had its effect",
  unavailable: "the service cannot be reached now; the call did not run or is safe to repeat with its idempotency key",
  aborted: "a concurrent call won; read again and retry",
  unimplemented: "no such method is granted here",
  internal: "a fault on the other side; quote the requestId",
} as const;

/** One of `errorCodes`. */
export type ErrorCode = keyof typeof errorCodes;

const retryableByDefault: ReadonlySet<ErrorCode> = new Set(["unavailable", "aborted", "resource_exhausted"]);

/** Longer messages are cut before they leave the process, so that no peer can make us carry its text. Characters. */
const messageCharsMax = 1_000;

/** Details of an error beside its code and its message. */
export interface ErrorDetail {
  /**
   * A domain word beside the code, such as `introduction_refused`: `[a-z0-9_]`, at most 100 characters. Anything else is
   * left out, because it would be text of whoever made it up.
   */
  readonly reason?: string | undefined;
  readonly retryable?: boolean | undefined;
  /** The trace id of the request in which the error arose; what a user quotes to an operator. */
  readonly requestId?: string | undefined;
  /** Whole milliseconds after which another try may pass; anything but a non-negative integer is left out. */
  readonly retryAfterMs?: number | undefined;
  /** Stays in this process, for the log. Never sent. */
  readonly cause?: unknown;
}

/**
 * The only error that leaves a process. Of it `code`, `message`, `reason`, `retryable`, `requestId` and `retryAfterMs` are
 * sent.
 */
export class FlotillaError extends Error {
  readonly code: ErrorCode;
  readonly reason: string | undefined;
  readonly retryable: boolean;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    const text = message.slice(0, messageCharsMax);
    const options = detail.cause === undefined ? undefined : { cause: detail.cause };
    // A flood is refused message by message, and to collect a stack takes longer than the rest of a refusal.
    const collectAgain = code === "resource_exhausted" ? collectNoStack() : undefined;
    super(text, options);
    collectAgain?.();
    this.name = code;
    this.code = code;
    this.reason = isReason(detail.reason) ? detail.reason : undefined;
    this.retryable = detail.retryable ?? retryableByDefault.has(code);
    this.requestId = detail.requestId;
    this.retryAfterMs = isWait(detail.retryAfterMs) ? detail.retryAfterMs : undefined;
  }
}

/** For an error that only carries another one on: to collect a stack takes longer than all else that is done with it. */
export function withoutStack<E extends Error>(make: () => E): E {
  const collectAgain = collectNoStack();
  try {
    return make();
  } finally {
    collectAgain();
  }
}

/** Until the answer is called. Does nothing where the engine has no such limit, or `Error` is frozen. */
function collectNoStack(): () => void {
  const limit = Object.getOwnPropertyDescriptor(Error, "stackTraceLimit");
  if (!limit?.writable || typeof limit.value !== "number") return () => {};
  Error.stackTraceLimit = 0;
  return () => {
    Error.stackTraceLimit = limit.value;
  };
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(errorCodes, value);
}

/** Whether `error` carries `code`, whichever side of the wire it was made on. */
export function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

/** The domain word beside the code, or undefined. */
export function reasonOf(error: unknown): string | undefined {
  return error instanceof Error && "reason" in error && typeof error.reason === "string" ? error.reason : undefined;
}

/**
 * Any thrown value as one of our errors. One of ours stays as it is (that is how an error crosses several
 * services, for it is rebuilt where it is read); anything else becomes `internal` with nothing of its own in it, and stays
 * as the `cause` for the log of this process.
 */
export function toFlotillaError(thrown: unknown, requestId?: string): FlotillaError {
  if (isOurs(thrown)) {
    if (thrown.requestId !== undefined || requestId === undefined) return thrown;
    const { code, message, reason, retryable, retryAfterMs, cause } = thrown;
    const detail = { reason, retryable, requestId, retryAfterMs, cause };
    return withoutStack(() => new FlotillaError(code, message, detail));
  }
  return new FlotillaError("internal", "Internal error", { requestId, cause: thrown });
}

function isOurs(thrown: unknown): thrown is FlotillaError {
  try {
    return thrown instanceof FlotillaError;
  } catch {
    return false;
  }
}

export function isReason(value: unknown): value is string {
  return typeof value === "string" && /^[a-z0-9_]{1,100}$/.test(value);
}

function isWait(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
