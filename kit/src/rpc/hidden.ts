import type { FlotillaError } from "../base/errors.ts";

/** Hears of every error that is sent as `internal`, with what the peer is not told. For the log of this process. */
export type OnHiddenError = (error: FlotillaError) => void;

/** Without `onHidden` it is `printHidden`. A log that fails must not take the session, or the process, with it. */
export function tellHidden(onHidden: OnHiddenError | undefined, error: FlotillaError): void {
  try {
    (onHidden ?? printHidden)(error);
  } catch {
    // There is no other log to tell.
  }
}

/** Bytes of a line, its end included: a peer may cause many, and a log keeps them all. */
const lineBytesMax = 2_048;

/**
 * One line on stderr, for who has not said where such errors go. SECURITY: of the error its own stack and nothing else:
 * no cause, no property of a driver, and not what was thrown in place of an error.
 */
function printHidden(error: FlotillaError): void {
  const request = error.requestId === undefined ? "" : `, request ${error.requestId}`;
  const text = `flotilla: the peer heard only \`internal\`${request}: ${describe(error.cause ?? error)}`;
  // Also against text of a peer's in a message, which could be commands to a terminal, or look like a line of its own.
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, " ");
  // Not process.stderr: its reader may be gone, and then that would end the process.
  console.error(cut(line, lineBytesMax - 1));
}

function describe(thrown: unknown): string {
  try {
    if (!(thrown instanceof Error)) return `thrown was no Error, but ${kindOf(thrown)}`;
    const { stack } = thrown;
    return typeof stack === "string" && stack !== "" ? stack : String(thrown.name);
  } catch {
    return "the error cannot be read";
  }
}

function kindOf(thrown: unknown): string {
  if (thrown === null || thrown === undefined) return String(thrown);
  return `${typeof thrown === "object" ? "an" : "a"} ${typeof thrown}`;
}

function cut(text: string, bytesMax: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(bytesMax));
  return text.slice(0, read);
}
