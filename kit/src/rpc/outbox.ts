import type { Clock } from "../base/clock.ts";
import type { CallContext } from "../base/context.ts";
import { afterTurn } from "../base/platform.ts";
import { type Framing, isOurs } from "../transport/channel.ts";
import { writeContext } from "./context-line.ts";

/**
 * Messages are put together up to this many characters, at most 3 bytes each: coalescing never builds a frame that a peer
 * must refuse, whose own messages are each within its limit.
 */
const frameCharsTarget = 64 * 1024;

/** A call of ours, as far as its sending goes. */
export interface Sendable {
  readonly id: number;
  readonly context: CallContext;
  /** Somebody waits for the answer. */
  readonly isPulled: boolean;
  /** Something else that was written names it by its number. */
  readonly isNamed: boolean;
  /** Tells it that it leaves now; after a `stream` the peer knows nothing of its number. */
  sent(asStream: boolean): void;
}

/** The rest of a call's message, and a pull. Characters. */
const wrapping = 48;

/**
 * Puts what is sent in one turn of the event loop into one frame, when the peer is one of ours (measured: 2.2 to 2.8 times
 * the calls of a frame for each message). A stock peer gets each message by itself.
 */
export class Outbox {
  readonly #framing: Framing;
  readonly #clock: Clock;
  readonly #send: (frame: string) => void;
  #lines: string[] = [];
  /** Calls in `#lines`, and where: how each is sent depends on what is done with its result until then. */
  #calls: Sendable[] = [];
  #callsAt: number[] = [];
  #chars = 0;
  #context: CallContext | undefined;
  #isFlushing = false;

  constructor(framing: Framing, clock: Clock, send: (frame: string) => void) {
    this.#framing = framing;
    this.#clock = clock;
    this.#send = send;
  }

  add(message: string): void {
    if (!isOurs(this.#framing)) {
      this.#send(message);
      return;
    }
    this.#makeRoom(message.length);
    this.#append(message);
    this.#flushLater();
  }

  /** `expression` is the call. */
  addCall(call: Sendable, expression: string): void {
    if (!isOurs(this.#framing)) {
      call.sent(false);
      this.#send(`["push",${expression}]`);
      return;
    }
    this.#makeRoom(expression.length + wrapping);
    if (call.context !== this.#context) {
      this.#append(writeContext(call.context, this.#clock));
      this.#context = call.context;
    }
    this.#calls.push(call);
    this.#callsAt.push(this.#lines.length);
    this.#append(expression);
    this.#chars += wrapping;
    this.#flushLater();
  }

  #makeRoom(chars: number): void {
    if (this.#chars + chars > frameCharsTarget) this.flush();
  }

  #append(line: string): void {
    this.#lines.push(line);
    this.#chars += line.length + 1;
  }

  #flushLater(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    afterTurn(() => {
      this.#isFlushing = false;
      this.flush();
    });
  }

  flush(): void {
    if (this.#lines.length === 0) return;
    this.#writeCalls();
    const frame = this.#lines.join("\n");
    this.#lines = [];
    this.#chars = 0;
    this.#context = undefined;
    this.#send(frame);
  }

  #writeCalls(): void {
    const calls = this.#calls;
    if (calls.length === 0) return;
    for (let i = 0; i < calls.length; i += 1) {
      const call = calls[i]!;
      const at = this.#callsAt[i]!;
      const asStream = this.#framing === "flotilla.v2" && call.isPulled && !call.isNamed;
      const pull = call.isPulled && !asStream ? `\n["pull",${call.id}]` : "";
      this.#lines[at] = `["${asStream ? "stream" : "push"}",${this.#lines[at]}]${pull}`;
      call.sent(asStream);
    }
    this.#calls = [];
    this.#callsAt = [];
  }
}
