import { type CliError, usageError } from "./cli-error.ts";

/**
 * Text that came from a file or a program, as `decodeText` of the kit has it: that takes longer to load than a command has.
 * A byte order mark at its start is dropped. Throws a usage error when it is not UTF-8.
 */
export function strictText(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw notUtf8(what);
  }
}

/** The same for what comes bit by bit; called without bytes at its end. */
export function makeStrictDecoder(what: string): (bytes?: Uint8Array) => string {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  return (bytes) => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch {
      throw notUtf8(what);
    }
  };
}

/**
 * Text that Node has decoded itself, such as the words of the command line: it puts U+FFFD in the place of what is not
 * UTF-8, and what was meant cannot be told any more. Throws a usage error for it.
 */
export function assertDecoded(text: string, what: string): void {
  if (text.includes("\uFFFD")) throw notUtf8(what);
}

function notUtf8(what: string): CliError {
  return usageError(`${what} is not valid UTF-8`, "Set the terminal, or save the file, as UTF-8");
}
