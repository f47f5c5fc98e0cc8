import type { CallContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";

/** The end of a stream that the peer passed as an argument, until a contract asks for it. It ends with the call. */
export abstract class WireStream implements Disposable {
  abstract readonly kind: "readable" | "writable";
  /** The context of the call that brought it. */
  context: CallContext | undefined;
  abstract [Symbol.dispose](): void;
}

/** Bytes of the streams of one session that have come and that nobody has taken yet. */
export class StreamBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @throws FlotillaError `resource_exhausted`, reason `stream_overrun`: the peer sends without waiting for answers. */
  take(bytes: number): void {
    if (this.#bytes + bytes > this.#bytesMax) {
      const message = `More than ${this.#bytesMax} bytes of streams wait to be read`;
      throw new FlotillaError("resource_exhausted", message, { reason: "stream_overrun", retryable: false });
    }
    this.#bytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** The argument of a `write`. @throws FlotillaError `invalid_argument` for anything but bytes. */
export function bytesIn(args: readonly unknown[]): Uint8Array {
  const [chunk] = args;
  if (args.length === 1 && chunk instanceof Uint8Array) return chunk;
  throw new FlotillaError("invalid_argument", "A stream carries bytes: each of its chunks is a Uint8Array");
}

/** The error of a stream that its other end has given up. */
export function streamEnded(cause?: unknown): FlotillaError {
  return new FlotillaError("aborted", "The stream was ended before it was complete", { reason: "stream_ended", cause });
}
