import { FlotillaError } from "./errors.ts";

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Decodes text that came from outside. Lossy decoding would store U+FFFD in place of what was meant; a byte order mark
 * at the start, which some editors write, is dropped.
 *
 * @param what names the text in the error, such as "The body".
 * @throws FlotillaError `invalid_argument` when the bytes are not UTF-8.
 */
export function decodeText(bytes: Uint8Array, what: string): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw new FlotillaError("invalid_argument", `${what} is not valid UTF-8`);
  }
}
