import type { ErrorCode } from "@flotilla/kit";
import { isCode } from "./exit-codes.ts";

export interface CliErrorDetail {
  readonly reason?: string | undefined;
  /** What the person can do next, in one line. */
  readonly hint?: string | undefined;
  readonly retryable?: boolean | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
}

/** What a command ends with when it cannot do what it was asked: as the shop says it, and what to do next. */
export class CliError extends Error {
  readonly code: ErrorCode;
  readonly detail: CliErrorDetail;

  constructor(code: ErrorCode, message: string, detail: CliErrorDetail = {}) {
    super(message, { cause: detail.cause });
    this.code = code;
    this.detail = detail;
  }
}

/** The command line itself is at fault. */
export function usageError(message: string, hint?: string): CliError {
  return new CliError("invalid_argument", message, { reason: "usage", hint });
}

/** Of anything thrown. What carries a code of the closed set keeps it; anything else is a fault of ours. */
export function toCliError(thrown: unknown): CliError {
  if (thrown instanceof CliError) return thrown;
  const { code, message } = Object(thrown) as Record<string, unknown>;
  if (isCode(code) && typeof message === "string") return new CliError(code, message, fieldsOf(thrown));
  return new CliError("internal", thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}

/** With another hint, unless it has one. */
export function advised(error: CliError, hint: string | undefined): CliError {
  return error.detail.hint === undefined && hint !== undefined
    ? new CliError(error.code, error.message, { ...error.detail, hint })
    : error;
}

/** The gateway's answer to a call, or to a whole batch, says the same in the same words. */
export function fieldsOf(thrown: unknown): CliErrorDetail {
  const { reason, retryable, retryAfterMs, requestId } = Object(thrown) as Record<string, unknown>;
  return {
    reason: typeof reason === "string" ? reason : undefined,
    retryable: retryable === true,
    retryAfterMs: typeof retryAfterMs === "number" ? retryAfterMs : undefined,
    requestId: typeof requestId === "string" ? requestId : undefined,
  };
}
