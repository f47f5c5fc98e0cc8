import { type CallContext, runInContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { type Call, type Dispatcher, dispatch } from "./call.ts";
import type { Ref } from "./ref.ts";
import { noSuchMember } from "./values.ts";
import { bytesIn, type StreamBudget, streamEnded, WireStream } from "./wire-stream.ts";

/** Bytes that may be under way without an answer; stock begins with as many. */
const windowBytes = 256 * 1024;
/** Larger chunks are cut, so that each message is within what an edge takes. */
const pieceBytes = 64 * 1024;

/** A stream of the peer's that a method writes to. */
export class FarWritable extends WireStream {
  readonly kind = "writable";
  readonly #ref: Ref;
  #writer: FarWriter | undefined;

  /** Owns `ref`, the peer's end. */
  constructor(ref: Ref) {
    super();
    this.#ref = ref;
  }

  open(): WritableStream<Uint8Array> {
    this.#writer = new FarWriter(this.#ref, this.context);
    return this.#writer.stream();
  }

  /** The call is over: what was not closed is aborted. */
  [Symbol.dispose](): void {
    if (this.#writer) this.#writer.abort(streamEnded());
    else this.#ref.dispose();
  }
}

/** Writes to the end of a stream elsewhere, by calls of which so many bytes are under way at once. */
export class FarWriter {
  readonly #ref: Ref;
  #underWay = 0;
  #failure: { readonly error: unknown } | undefined;
  #isOver = false;
  /** The far end is let go of. */
  #isEnded = false;
  #wake: (() => void) | undefined;
  #endHearing = () => {};
  #controller: WritableStreamDefaultController | undefined;
  readonly #context: CallContext | undefined;

  /** Owns `ref`. @param context of the call that the stream belongs to, whose deadline is that of each write. */
  constructor(ref: Ref, context: CallContext | undefined) {
    this.#ref = ref;
    this.#context = context;
  }

  #call(method: string, args: readonly unknown[]): Promise<void> {
    return this.#context ? runInContext(this.#context, ask, this.#ref, method, args) : ask(this.#ref, method, args);
  }

  stream(): WritableStream<Uint8Array> {
    return new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
        this.#endHearing = this.#ref.onBroken((error) => this.fail(error));
      },
      write: (chunk) => this.#write(chunk),
      close: () => this.#close(),
      abort: (reason) => this.abort(reason),
    });
  }

  async #write(chunk: Uint8Array): Promise<void> {
    const bytes = this.#bytesOf(chunk);
    for (let at = 0; at < bytes.byteLength; at += pieceBytes) {
      if (this.#failure) throw this.#failure.error;
      this.#send(bytes.subarray(at, at + pieceBytes));
      while (!this.#failure && this.#underWay >= windowBytes) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
    if (this.#failure) throw this.#failure.error;
  }

  /** A stream does not abort its sink for an error of the sink's own, so the far end is told here. */
  #bytesOf(chunk: Uint8Array): Uint8Array {
    try {
      return bytesIn([chunk]);
    } catch (error) {
      this.abort(error);
      throw error;
    }
  }

  #send(piece: Uint8Array): void {
    this.#underWay += piece.byteLength;
    this.#call("write", [piece]).then(
      () => this.#answered(piece),
      (error: unknown) => {
        this.fail(error);
        this.#answered(piece);
      },
    );
  }

  /** Lets go of the far end without a word, and fails the stream, whose source is cancelled then. */
  fail(error: unknown): void {
    if (this.#isOver) return;
    this.#failure ??= { error };
    this.#controller?.error(error);
    this.#end();
    this.#wake?.();
  }

  #answered(piece: Uint8Array): void {
    this.#underWay -= piece.byteLength;
    this.#wake?.();
  }

  async #close(): Promise<void> {
    if (this.#failure) throw this.#failure.error;
    // From now on there is nothing to abort, also while nobody awaits this.
    this.#isOver = true;
    try {
      await this.#call("close", []);
    } finally {
      this.#end();
    }
  }

  /** Tells the far end, unless the stream is over. */
  abort(reason: unknown): void {
    if (this.#isOver) return;
    this.#failure ??= { error: reason };
    this.#wake?.();
    // Somebody's own reason may be anything; a coded one is told.
    const told = reason instanceof FlotillaError ? reason : streamEnded();
    this.#call("abort", [told])
      .catch(() => {})
      .finally(() => this.#end());
    this.#isOver = true;
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isOver = this.#isEnded = true;
    this.#endHearing();
    this.#ref.dispose();
  }
}

function ask(ref: Ref, method: string, args: readonly unknown[]): Promise<void> {
  const result = ref.call([method], args);
  const asked = new Promise<void>((resolve, reject) => result.pull({ ok: () => resolve(), fail: reject }));
  return asked.finally(() => result.dispose());
}

/** A stream of this process's that the peer writes to. */
export class NearWritable implements Dispatcher, Disposable {
  readonly #writer: WritableStreamDefaultWriter<unknown>;
  readonly #budget: StreamBudget;
  #isOver = false;

  constructor(stream: WritableStream<unknown>, budget: StreamBudget) {
    this.#writer = stream.getWriter();
    this.#writer.closed.catch(() => {});
    this.#budget = budget;
  }

  [dispatch](name: string, args: readonly unknown[], call: Call): void {
    try {
      if (this.#isOver) throw streamEnded();
      if (name === "write") this.#write(bytesIn(args), call);
      else if (name === "close") this.#over(call, this.#writer.close());
      else if (name === "abort") this.#over(call, this.#writer.abort(args[0]));
      else throw noSuchMember([name]);
    } catch (error) {
      call.fail(error);
    }
  }

  /** Answered when the stream has taken the chunk. */
  #write(chunk: Uint8Array, call: Call): void {
    this.#budget.take(chunk.byteLength);
    const done = this.#writer.write(chunk).finally(() => this.#budget.giveBack(chunk.byteLength));
    settle(call, done);
  }

  #over(call: Call, done: Promise<void>): void {
    this.#isOver = true;
    settle(call, done);
  }

  [Symbol.dispose](): void {
    if (!this.#isOver) this.#writer.abort(streamEnded()).catch(() => {});
    this.#isOver = true;
    this.#writer.releaseLock();
  }
}

function settle(call: Call, done: Promise<void>): void {
  done.then(
    () => call.returned(undefined),
    (error: unknown) => call.fail(error),
  );
}
