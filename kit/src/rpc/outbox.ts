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

/** A message that gets its text when it leaves. */
export interface Unwritten {
  /** At most so many characters. */
  readonly charsMax: number;
  write(): string;
}

/** Numbers of answered calls that one message lets go of. */
type Released = number[];
type Line = string | Unwritten | Released;

/** A number has 16 digits at most, and a comma. Characters. */
const releaseCharsMax = 17;
/** Characters around the numbers. */
const releaseFrameChars = 20;

/**
 * Puts the messages of one turn of the event loop into one frame, when the peer is one of ours (measured: 2.2 to 2.8 times
 * the calls of a frame for each message). A stock peer gets each message by itself.
 */
export class Outbox {
  readonly #framing: Framing;
  readonly #clock: Clock;
  readonly #send: (frame: string) => void;
  #lines: Line[] = [];
  /** The last line, if it lets go of calls. */
  #released: Released | undefined;
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
  add(message: string | Unwritten, context?: CallContext): void {
    if (this.#framing !== "flotilla.v1") {
      this.#send(textOf(message));
      return;
    }
    const chars = typeof message === "string" ? message.length : message.charsMax;
    this.#makeRoom(chars);
    if (context && context !== this.#context) {
      const line = writeContext(context, this.#clock);
      this.#append(line, line.length);
      this.#context = context;
    }
    this.#append(message, chars);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    afterTurn(() => {
      this.#isFlushing = false;
      this.flush();
    });
  }

  /**
   * Lets go of an answered call of ours. Nobody waits for that, so it leaves with the next message, in its order, or by
   * itself a little later: at one caller a frame for each release would be a third of all frames.
   */
  release(id: number): void {
    if (this.#framing !== "flotilla.v1") {
      this.#send(textOf([id]));
      return;
    }
    this.#makeRoom(releaseFrameChars + releaseCharsMax);
    if (this.#released) {
      this.#released.push(id);
      this.#chars += releaseCharsMax;
    } else {
      const released = [id];
      this.#append(released, releaseFrameChars + releaseCharsMax);
      this.#released = released;
    }
    if (!this.#isFlushing && !this.#cancelTimer) this.#setTimer();
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

  #makeRoom(chars: number): void {
    if (this.#chars + chars > frameCharsTarget) this.flush();
  }

  #append(line: Line, chars: number): void {
    this.#lines.push(line);
    this.#released = undefined;
    this.#chars += chars + 1;
  }

  flush(): void {
    if (this.#lines.length === 0) return;
    const frame = this.#lines.map(textOf).join("\n");
    this.#lines = [];
    this.#released = undefined;
    this.#chars = 0;
    this.#hasSent = true;
    this.#context = undefined;
    this.#send(frame);
  }

  /** The session is over: nothing waits any more. */
  end(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }
}

function textOf(line: Line): string {
  if (typeof line === "string") return line;
  if (!Array.isArray(line)) return line.write();
  return line.length === 1 ? `["release",${line[0]},1]` : `["release",[${line.join()}]]`;
}
