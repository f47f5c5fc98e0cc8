import type { Writable } from "node:stream";
import type { Output } from "./screen.ts";

/** What may wait for who reads us. Bytes. */
const waitingBytesMax = 1024 * 1024;

/**
 * Writes to `stream` as long as it is read: while its reader has stopped, such as a pager at the end of `npm start | less`,
 * what does not fit is dropped, and counted in a line of its own afterwards. A terminal that is stopped holds us up all the
 * same: Node writes to it synchronously.
 */
export function patientOutput(stream: Writable & { readonly isTTY?: boolean }): Output {
  let dropped = 0;
  return {
    isTTY: stream.isTTY === true,
    write(text) {
      if (stream.writableLength + text.length > waitingBytesMax) {
        dropped += 1;
        return;
      }
      if (dropped > 0) stream.write(`(${dropped} messages that nobody read were dropped)\n`);
      dropped = 0;
      stream.write(text);
    },
  };
}
