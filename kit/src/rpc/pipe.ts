import { FlotillaError } from "../base/errors.ts";
import { type Call, type Dispatcher, dispatch } from "./call.ts";
import { noSuchMember } from "./values.ts";
import { bytesIn, type StreamBudget, streamEnded, WireStream } from "./wire-stream.ts";

/** A chunk that nobody has read yet; undefined for the end of the stream. */
interface Waiting {
  readonly chunk: Uint8Array | undefined;
  readonly call: Call;
}

/**
 * A stream that the peer writes to and a method reads. A `write` is answered when its chunk was read, so that the peer, which
 * waits for answers, is as slow as the reader.
 */
export class Pipe extends WireStream {
  readonly kind = "readable";
  /** The end that the peer calls, as the result of its `pipe`. */
  readonly writableEnd: Disposable & Dispatcher = new WritableEnd(this);
  readonly #budget: StreamBudget;
  readonly #onFailed: (error: unknown) => void;
  readonly #waiting: Waiting[] = [];
  #failure: { readonly error: unknown } | undefined;
  #isClosed = false;
  /** It was read to its end. */
  #isRead = false;
  /** Resolves what a reader waits for. */
  #wake: (() => void) | undefined;

  /** @param onFailed hears, once, that nothing more will be read, so that a peer that has nothing to write hears of it too. */
  constructor(budget: StreamBudget, onFailed: (error: unknown) => void) {
    super();
    this.#budget = budget;
    this.#onFailed = onFailed;
  }

  /** @param bytesMax above it the stream fails with `resource_exhausted`, reason `stream_too_large`. */
  open(bytesMax: number): ReadableStream<Uint8Array> {
    let left = bytesMax;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const chunk = await this.#next();
          if (chunk === undefined) controller.close();
          else if (chunk.byteLength <= left) {
            left -= chunk.byteLength;
            controller.enqueue(chunk);
          } else {
            const message = `A stream of more than ${bytesMax} bytes`;
            const detail = { reason: "stream_too_large", retryable: false };
            throw this.fail(new FlotillaError("resource_exhausted", message, detail));
          }
        },
        cancel: (reason) => void this.fail(streamEnded(reason)),
      },
      // Nothing is read before somebody asks for it.
      { highWaterMark: 0 },
    );
  }

  /** The next chunk, whose `write` is answered now; undefined at the end. */
  async #next(): Promise<Uint8Array | undefined> {
    while (!this.#failure && this.#waiting.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure) throw this.#failure.error;
    const { chunk, call } = this.#waiting.shift()!;
    call.returned(undefined);
    if (!chunk) this.#isRead = true;
    return chunk;
  }

  write(args: readonly unknown[], call: Call): void {
    if (this.#failure) throw this.#failure.error;
    const chunk = bytesIn(args);
    try {
      this.#budget.take(chunk.byteLength);
    } catch (error) {
      throw this.fail(error);
    }
    this.#wait(chunk, call);
  }

  close(call: Call): void {
    if (this.#failure) throw this.#failure.error;
    this.#isClosed = true;
    this.#wait(undefined, call);
  }

  #wait(chunk: Uint8Array | undefined, call: Call): void {
    const waiting: Waiting = { chunk, call };
    this.#waiting.push(waiting);
    call.onSettled((error) => {
      if (chunk) this.#budget.giveBack(chunk.byteLength);
      // A chunk that was given up is missing from the rest.
      if (error !== undefined && this.#waiting.includes(waiting)) this.fail(error);
    });
    this.#wake?.();
  }

  /** Ends both sides. @returns the error that they are told: the first one. */
  fail(error: unknown): unknown {
    if (this.#failure || this.#isRead) return this.#failure?.error;
    this.#failure = { error };
    this.#onFailed(error);
    for (const { call } of this.#waiting.splice(0)) call.fail(error);
    this.#wake?.();
    return error;
  }

  /** The peer writes no more. */
  leftByPeer(): void {
    if (!this.#isClosed) this.fail(streamEnded());
  }

  /** The call is over, or nobody asked for the stream. */
  [Symbol.dispose](): void {
    this.fail(streamEnded());
  }
}

/** A pipe as the peer calls it. Disposing it lets go of the peer's end. */
class WritableEnd implements Dispatcher, Disposable {
  readonly #pipe: Pipe;

  constructor(pipe: Pipe) {
    this.#pipe = pipe;
  }

  [dispatch](name: string, args: readonly unknown[], call: Call): void {
    try {
      if (name === "write") this.#pipe.write(args, call);
      else if (name === "close") this.#pipe.close(call);
      else if (name === "abort") {
        this.#pipe.fail(streamEnded(args[0]));
        call.returned(undefined);
      } else throw noSuchMember([name]);
    } catch (error) {
      call.fail(error);
    }
  }

  [Symbol.dispose](): void {
    this.#pipe.leftByPeer();
  }
}
