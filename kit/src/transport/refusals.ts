import { FlotillaError, reasonOf } from "../base/errors.ts";

const violationReason = "protocol_violation";

/** The error for a malformed message. It ends the session. */
export function violation(what: string): FlotillaError {
  return new FlotillaError("invalid_argument", `Malformed message: ${what}`, { reason: violationReason });
}

export function isViolation(error: unknown): boolean {
  return reasonOf(error) === violationReason;
}

/** For a session whose peer does not read what it is sent. */
export function slowReader(): FlotillaError {
  return new FlotillaError("resource_exhausted", "The peer does not read what it asked for", { reason: "slow_reader" });
}

export function exhausted(what: string): FlotillaError {
  return new FlotillaError("resource_exhausted", `Refused: ${what}`, { reason: "protocol_limit", retryable: false });
}

/** For calls under way that had no part in why their session is over. */
export function sessionEnded(cause: FlotillaError): FlotillaError {
  const message = "The session ended for another reason than this call";
  return new FlotillaError("unavailable", message, { reason: "session_ended", cause });
}
