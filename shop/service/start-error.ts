/**
 * Why a system did not start, in words for the person at the terminal. Not a `FlotillaError`: it never crosses a wire,
 * and the supervisor starts faster without loading the kit.
 */
export class StartError extends Error {
  readonly reason: StartFailure;

  constructor(reason: StartFailure, message: string) {
    super(message);
    this.name = "StartError";
    this.reason = reason;
  }
}

/** Returns the result of `read`; undefined, with the message in `problems`, when it throws a `StartError`. */
export function attempt<T>(read: () => T, problems: string[]): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    problems.push(error.message);
    return undefined;
  }
}

export type StartFailure =
  /** A setting is malformed. */
  | "bad_settings"
  /** A key or a password is known to others. */
  | "insecure"
  /** Another system runs on this data directory, or the directory cannot be used. */
  | "data_directory"
  /** A port is taken or may not be listened on. */
  | "port"
  /** A service found that its settings, its port or the data directory need attention. */
  | "service_refused"
  /** A service ended before it was ready, for another reason. */
  | "service_failed"
  /** A service was not ready in time. */
  | "timed_out"
  /** Somebody stopped the system before it was ready. */
  | "stopped";

const personsToFix: ReadonlySet<StartFailure> = new Set([
  "bad_settings",
  "insecure",
  "data_directory",
  "port",
  "service_refused",
]);

/** The person has to change something before starting again. Services end with it too. */
export const exitUsage = 2;
/** A service is at fault. */
export const exitFailure = 1;

export function exitCodeOf(error: StartError): number {
  return personsToFix.has(error.reason) ? exitUsage : exitFailure;
}
