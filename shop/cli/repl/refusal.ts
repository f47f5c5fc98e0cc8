import { inspect } from "node:util";
import type { ErrorCode } from "@flotilla/kit";
import { CliError, toCliError } from "../cli-error.ts";
import { say } from "../text.ts";

/** An error as the person sees it: its code, its message and its reason, in one line; with the same fields as any. */
class Refusal extends Error {
  readonly code: ErrorCode;
  readonly reason: string | undefined;
  readonly requestId: string | undefined;

  constructor({ code, message, detail }: CliError) {
    super(message);
    this.name = code;
    this.code = code;
    this.reason = detail.reason;
    this.requestId = detail.requestId;
    this.stack = "";
  }

  [inspect.custom](): string {
    const { code, message, reason, requestId } = this;
    const more = [reason && `reason ${reason}`, code === "internal" && requestId && `request ${requestId}`];
    const known = more.filter(Boolean).join(", ");
    return String(say`${code}: ${message}${known === "" ? "" : ` (${known})`}`);
  }
}

/** Of something thrown, or of what is refused here. */
export function refusal(thrown: unknown): Error;
export function refusal(code: ErrorCode, message: string, reason?: string): Error;
export function refusal(first: unknown, message?: string, reason?: string): Error {
  if (message === undefined) return new Refusal(toCliError(first));
  return new Refusal(new CliError(first as ErrorCode, message, { reason }));
}
