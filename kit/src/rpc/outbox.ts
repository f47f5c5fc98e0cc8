import type { Cancel, Clock } from "../base/clock.ts";
import type { CallContext } from "../base/context.ts";
import { afterTurn } from "../base/platform.ts";
import type { Framing } from "../transport/channel.ts";
import { writeContext } from "./context-line.ts";

/**
 * Messages are put together up to this many characters, at most 3 bytes each: coalescing never builds a frame that a peer
 * must refuse, whose own messages are each within its limit.
 */
const frameCharsTarget = 64 * 1024;

/** For how long at most the release of an answered call waits for another message to leave with. Milliseconds. */
const releaseDelayMs = 5;

/**
 * Puts the messages of one turn of the event loop into one frame, when the peer is one of ours (measured: 2.2 to 2.8 times
 * the calls of a frame for each message). A stock peer gets each message by itself.
 */
export class Outbox {
  readonly #framing: Framing;
  readonly #clock: Clock;
  readonly #send: (frame: string) => void;
  #lines: string[] = [];
  #chars = 0;
  #context: CallContext | undefined;
  #isFlushing = false;
  /** Takes the timer back, while one is set. */
  #cancelTimer: Cancel | undefined;
  /** A frame has left since the timer was set. */
  #hasSent = false;

  constructor(framing: Framing, clock: Clock, send: (frame: string) => void) {
    this.#framing = framing;
    this.#clock = clock;
    this.#send = send;
  }

  /** `context` of a call. */
  add(message: string, context?: CallContext): void {
    if (this.#framing !== "flotilla.v1") {
      this.#send(message);
      return;
    }
    if (this.#chars + message.length > frameCharsTarget) this.flush();
    if (context && context !== this.#context) {
      this.#append(writeContext(context, this.#clock));
      this.#context = context;
    }
    this.#append(message);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    afterTurn(() => {
      this.#isFlushing = false;
      this.flush();
    });
  }

  /**
   * A message that nobody waits for leaves with the next one, in its order, or by itself a little later: at one caller a
   * frame for each release would be a third of all frames.
   */
  addUnhurried(message: string): void {
    if (this.#framing !== "flotilla.v1") this.#send(message);
    else {
      if (this.#chars + message.length > frameCharsTarget) this.flush();
      this.#append(message);
      if (!this.#isFlushing && !this.#cancelTimer) this.#setTimer();
    }
  }

  #setTimer(): void {
    this.#hasSent = false;
    this.#cancelTimer = this.#clock.after(releaseDelayMs, () => {
      this.#cancelTimer = undefined;
      if (this.#lines.length === 0) return;
      // The messages may have come just now, and in a busy session the next frame takes them along.
      if (this.#hasSent) this.#setTimer();
      else this.flush();
    });
  }

  #append(line: string): void {
    this.#lines.push(line);
    this.#chars += line.length + 1;
  }

  flush(): void {
    if (this.#lines.length === 0) return;
    const frame = this.#lines.join("\n");
    this.#lines = [];
    this.#chars = 0;
    this.#hasSent = true;
    this.#context = undefined;
    this.#send(frame);
  }
}
