import type { IncomingMessage } from "node:http";
import { FlotillaError } from "../base/errors.ts";
import { batchBytesMax, intakeCosts } from "../base/limits.ts";
import { decodeText } from "../base/text.ts";
import { clientWentAway } from "./batch.ts";
import { assertNotEncoded } from "./encodings.ts";
import type { Intake } from "./intake.ts";

export interface ReadBodyOptions {
  /** Aborted, with a FlotillaError, when nothing more is to be read: the client, which still sends, is told. */
  readonly stop: AbortSignal;
  /** Is charged for each chunk. */
  readonly intake: Pick<Intake, "spend">;
}

/**
 * Reads the request's body as text.
 * @throws FlotillaError `resource_exhausted`, reason `body_too_large`, above `batchBytesMax`; `invalid_argument` when it is
 *   compressed or not UTF-8; `unavailable` when the client went away; the reason of `stop`.
 */
export async function readBody(request: IncomingMessage, { stop, intake }: ReadBodyOptions): Promise<string> {
  assertNotEncoded(request);
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => {});
  const bytes = makeGrowingBytes();
  const onStop = () => ended.reject(stop.reason as FlotillaError);
  const onClose = () => ended.reject(clientWentAway());
  const onData = (chunk: Buffer) => {
    intake.spend(intakeCosts.chunk);
    if (bytes.length + chunk.length > batchBytesMax) ended.reject(tooLarge());
    else bytes.add(chunk);
  };
  stop.addEventListener("abort", onStop, { once: true });
  try {
    if (stop.aborted) onStop();
    if (Number(request.headers["content-length"] ?? 0) > batchBytesMax) throw tooLarge();
    request.on("data", onData).once("end", ended.resolve).once("error", onClose).once("close", onClose);
    await ended.promise;
    return decodeText(bytes.all(), "The body");
  } finally {
    stop.removeEventListener("abort", onStop);
    // Every request closes, and an error for each would cost more than all else here.
    request.off("data", onData).off("close", onClose).pause();
  }
}

/** Bytes in one buffer. */
export interface GrowingBytes {
  readonly length: number;
  /** Copies `chunk`. */
  add(chunk: Uint8Array): void;
  /** Valid until the next `add`. */
  all(): Uint8Array;
}

/**
 * Joins chunks as they come: kept one by one, a body of one-byte chunks would take a hundred times its size. The buffer
 * doubles when it is full, so it is at most twice as large as what has come, whatever length was announced.
 */
export function makeGrowingBytes(): GrowingBytes {
  // From Node's pool: zeroed memory of its own costs more than most bodies.
  let buffer: Uint8Array = Buffer.allocUnsafe(1_024);
  let length = 0;
  return {
    get length() {
      return length;
    },
    add(chunk) {
      const needed = length + chunk.length;
      if (needed > buffer.length) {
        const larger = new Uint8Array(Math.max(needed, 2 * buffer.length));
        larger.set(buffer.subarray(0, length));
        buffer = larger;
      }
      buffer.set(chunk, length);
      length = needed;
    },
    all: () => buffer.subarray(0, length),
  };
}

function tooLarge(): FlotillaError {
  return new FlotillaError("resource_exhausted", `A batch takes at most ${batchBytesMax} bytes`, {
    reason: "body_too_large",
    retryable: false,
  });
}
