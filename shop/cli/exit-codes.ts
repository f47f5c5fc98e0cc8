import type { ErrorCode } from "@flotilla/kit";
import { stopExitCodes } from "./stop-exit-codes.ts";

/** What `flotilla` ends with, and what a script may conclude from it. */
export const exitCodes = [
  { code: 0, name: "ok", meaning: "done" },
  { code: 1, name: "failure", meaning: "a fault, here or on the other side" },
  { code: 2, name: "usage", meaning: "the command is malformed, or the shop refuses a value in it" },
  { code: 3, name: "auth", meaning: "not logged in, or not permitted" },
  { code: 4, name: "not-found", meaning: "what was named does not exist" },
  { code: 5, name: "conflict", meaning: "it exists already, or its state forbids this" },
  { code: 6, name: "unavailable", meaning: "the shop cannot be reached, or a limit was reached: try later" },
  { code: 124, name: "timeout", meaning: "time ran out; it may or may not have been done" },
  { code: stopExitCodes.SIGINT, name: "interrupted", meaning: "ended by Ctrl+C" },
] as const;

export type ExitCode = (typeof exitCodes)[number]["code"];

const byCode: Readonly<Record<ErrorCode, ExitCode>> = {
  invalid_argument: 2,
  unauthenticated: 3,
  permission_denied: 3,
  not_found: 4,
  already_exists: 5,
  failed_precondition: 5,
  aborted: 5,
  resource_exhausted: 6,
  unavailable: 6,
  deadline_exceeded: 124,
  unimplemented: 1,
  internal: 1,
};

export function exitCodeOf(code: ErrorCode): ExitCode {
  return byCode[code];
}

/** As `isErrorCode` of the kit says it: to load the kit takes longer than most commands. */
export function isCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(byCode, value);
}
