import { FlotillaError } from "../base/errors.ts";
import type { Call } from "../rpc/call.ts";
import { FarWritable } from "../rpc/far-stream.ts";
import { notOffered } from "../rpc/not-offered.ts";
import { Pipe } from "../rpc/pipe.ts";
import type { Param } from "./contract.ts";

/**
 * A parameter that is a stream of bytes from the caller: the method reads it before it returns, and what it has not read by
 * then is cancelled. The caller is as slow as the method reads. A chunk has to be read before its own message is late: by the
 * deadline of the call, and of a stock client within 10 s.
 *
 * @param bytesMax of the whole stream; above it reading fails with `resource_exhausted`, reason `stream_too_large`.
 */
export function readable(name: string, bytesMax: number): Param<ReadableStream<Uint8Array>> {
  return {
    name,
    isOptional: false,
    stream: "readable",
    receive(value) {
      if (value instanceof Pipe) return value.open(bytesMax);
      // A call within this process passes the stream itself.
      if (value instanceof ReadableStream) return value;
      throw new FlotillaError("invalid_argument", `${name} must be a ReadableStream`);
    },
  };
}

/**
 * A parameter that is a stream to which the method writes bytes for the caller. The method waits for its `close` before it
 * returns: what is not closed by then is aborted. Writing is as slow as the caller takes the bytes.
 */
export function writable(name: string): Param<WritableStream<Uint8Array>> {
  return {
    name,
    isOptional: false,
    stream: "writable",
    receive(value) {
      if (value instanceof FarWritable) return value.open();
      if (value instanceof WritableStream) return value;
      throw new FlotillaError("invalid_argument", `${name} must be a WritableStream`);
    },
  };
}

/** @throws FlotillaError `unimplemented` for a stream that stands where the contract asks for none. */
export function assertAskedFor(
  streams: Call["streams"],
  args: readonly unknown[],
  params: readonly Param<unknown>[],
): void {
  for (const stream of streams) {
    if (params[args.indexOf(stream)]?.stream !== stream.kind) throw notOffered(stream.kind);
  }
}
