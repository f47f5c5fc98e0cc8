import { FlotillaError } from "@flotilla/kit";
import pg from "pg";

/** What became of a query, and so what can be done about it. */
export type FailureKind =
  /** Somebody else's unit was in the way: begun anew, this one sees what that one did. */
  | "conflict"
  /** The connection is no more. */
  | "broken"
  /** The server does not take writes: another does now. */
  | "read_only"
  /** No room, no time, no lock: it may pass. */
  | "passing"
  | "damaged"
  /** A text holds what cannot be kept: a NUL. */
  | "text"
  /** It will fail again. */
  | "other";

const conflicts: ReadonlySet<string> = new Set([
  "40001", // serialization_failure
  "40P01", // deadlock_detected
  // Between a unit's look and its write somebody wrote the same: PostgreSQL may say so by the index instead.
  "23505", // unique_violation
  "23503", // foreign_key_violation
]);
const broken: ReadonlySet<string> = new Set([
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now
  "57P05", // idle_session_timeout
  "25P03", // idle_in_transaction_session_timeout
]);
const passing: ReadonlySet<string> = new Set([
  "55P03", // lock_not_available
  "57014", // query_canceled: its time was over
]);
const damaged: ReadonlySet<string> = new Set(["XX001", "XX002"]);

/** A query failed. It stays within the store. */
export class QueryFailure extends Error {
  readonly kind: FailureKind;
  /** What was to be committed by it may have been. */
  readonly isUncertain: boolean;

  constructor(thrown: unknown, isUncertain = false) {
    super("a query failed", { cause: thrown });
    this.kind = kindOf(thrown);
    this.isUncertain = isUncertain;
  }

  /** The server gave no answer at all. */
  get isSilence(): boolean {
    return this.cause instanceof Error && this.cause.message === "Query read timeout";
  }

  /** The same, of what commits: unless the server said that it rolled back, nobody knows. */
  whileCommitting(): QueryFailure {
    return new QueryFailure(this.cause, this.kind === "broken");
  }
}

function kindOf(thrown: unknown): FailureKind {
  // What is not the server's word is the connection's end: refused, reset, silent for too long.
  if (!(thrown instanceof pg.DatabaseError)) return "broken";
  const { code = "", severity } = thrown;
  // Said in English only where the server speaks it; where it does not, the next query finds the connection closed.
  if (broken.has(code) || code.startsWith("08") || severity === "FATAL" || severity === "PANIC") return "broken";
  if (conflicts.has(code)) return "conflict";
  if (code === "25006") return "read_only";
  if (passing.has(code) || code.startsWith("53") || code.startsWith("58")) return "passing";
  if (damaged.has(code)) return "damaged";
  if (code === "22021") return "text";
  return "other";
}

/** What a caller is told; the driver's own words are the cause, for the log. */
export function codedError({ kind, cause }: QueryFailure): FlotillaError {
  if (kind === "damaged")
    return new FlotillaError("internal", "The store is damaged", { reason: "store_damaged", cause });
  if (kind === "text")
    return new FlotillaError("invalid_argument", "A text holds a NUL, which cannot be kept", { cause });
  if (kind === "other") return new FlotillaError("internal", "The store failed", { reason: "store", cause });
  return unavailable(cause);
}

export function unavailable(cause: unknown): FlotillaError {
  return new FlotillaError("unavailable", "The store cannot be used now", { reason: "store", cause });
}

/** Of those that wait for a connection there are too many. */
export function busy(): FlotillaError {
  return new FlotillaError("resource_exhausted", "The store is busy", { reason: "store_busy", retryAfterMs: 1_000 });
}

export function closed(): FlotillaError {
  return new FlotillaError("unavailable", "The store is closed", { reason: "store" });
}

/** Why a store refuses to open; for the operator who starts the service, so it names the place, which holds no secret. */
export function openingError(thrown: unknown, where: string): unknown {
  if (!(thrown instanceof FlotillaError)) {
    const isOurs = kindOf(thrown) === "other";
    const said = thrown instanceof Error ? thrown.message : String(thrown);
    const message = `The store ${where} cannot be opened: ${said}`;
    return new FlotillaError(isOurs ? "failed_precondition" : "unavailable", message, {
      reason: "store",
      cause: thrown,
    });
  }
  if (thrown.code !== "unavailable") return thrown;
  const causes = thrown.cause instanceof AggregateError ? thrown.cause.errors : [thrown.cause];
  const why = causes.map((cause) => (cause instanceof Error ? cause.message || cause.name : "")).filter(Boolean);
  const message = `No server of the store ${where} takes writes: ${[...new Set(why)].join("; ")}`;
  return new FlotillaError("unavailable", message, { reason: "store", cause: thrown });
}
