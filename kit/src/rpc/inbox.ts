import { FlotillaError, toFlotillaError } from "../base/errors.ts";
import type { Pace } from "../resilience/pace.ts";
import { makeTokenBucket, type TokenBucket } from "../resilience/token-bucket.ts";
import type { Framing } from "../transport/channel.ts";
import { exhausted, violation } from "../transport/refusals.ts";
import type { Answer } from "./answer.ts";
import { type Received, readContext, stoppingLine } from "./context-line.ts";
import { type Message, type MessageOptions, MessageReader, type MessageSession } from "./messages.ts";
import { notOffered } from "./not-offered.ts";
import type { Question } from "./question.ts";
import { letGoOf, type ReadValue } from "./reader.ts";
import { fill } from "./values.ts";

export interface InboxSession extends MessageSession {
  readonly failure: FlotillaError | undefined;
  pulled(answer: Answer): void;
  release(answer: Answer): void;
  /** The peer asked for the value of the main object. */
  rejectMain(error: FlotillaError): void;
  /** Our call of that number, which this message answers; undefined when it was given up. */
  answered(id: number): Question | undefined;
  heardAnswer(error?: unknown): void;
  /** The peer has ended the session, or is at fault. */
  end(reason: FlotillaError): void;
  close(code: number, reason: FlotillaError): void;
  refuse(reason: FlotillaError): void;
}

interface InboxOptions extends MessageOptions {
  readonly pace?: Pace | undefined;
  readonly intake?: { lines(count: number): void; unread(change: number): void } | undefined;
  readonly onStopping?: (() => void) | undefined;
  readonly onFrame?: ((direction: "in" | "out", frame: string) => void) | undefined;
}

/** Reads a peer's frames whole, then works their messages off one by one. */
export class Inbox {
  readonly #framing: Framing;
  readonly #session: InboxSession;
  readonly #options: InboxOptions;
  readonly #rate: TokenBucket | undefined;
  readonly #messages: MessageReader;
  /** Read, and not worked off, from `#at` on. */
  #waiting: Message[] = [];
  #at = 0;
  /** Messages of the current frame; those from `#frameAt` on are still to be worked off. */
  #frame: Message[] = [];
  #frameAt = 0;
  #onAllRead: (() => void)[] = [];

  constructor(framing: Framing, session: InboxSession, options: InboxOptions) {
    this.#framing = framing;
    this.#session = session;
    this.#options = options;
    const { messagesPerSecondMax } = options.limits;
    this.#rate = Number.isFinite(messagesPerSecondMax)
      ? makeTokenBucket({ calls: messagesPerSecondMax, perMs: 1_000 })
      : undefined;
    this.#messages = new MessageReader(framing, session, options);
  }

  frame(text: string): void {
    if (this.#session.failure) return;
    this.#options.onFrame?.("in", text);
    try {
      const { frameBytesMax } = this.#options.limits;
      // A character is at least a byte; the channel, which sees the bytes, may refuse sooner.
      if (text.length > frameBytesMax) throw exhausted(`a frame of more than ${frameBytesMax} bytes`);
      this.#take(this.#read(this.#linesOf(text)));
    } catch (error) {
      this.#session.refuse(toFlotillaError(error));
    }
  }

  /** SECURITY: every line is charged before it is read, and a context costs as much as a message. */
  #linesOf(text: string): readonly string[] {
    const lines = this.#framing === "capnweb" ? [text] : text.split("\n");
    this.#options.intake?.lines(lines.length);
    const { messagesPerSecondMax } = this.#options.limits;
    if (this.#rate && !this.#rate.take(this.#session.clock.monotonicMs(), lines.length)) {
      throw exhausted(`more than ${messagesPerSecondMax} messages per second`);
    }
    return lines;
  }

  /** The whole frame, before anything in it is begun: what stands before a violation is not begun. */
  #read(lines: readonly string[]): Message[] {
    const { clock } = this.#session;
    const nowMs = clock.monotonicMs();
    const messages: Message[] = [];
    this.#frame = messages;
    this.#frameAt = 0;
    let context: Received | undefined;
    for (const line of lines) {
      if (line === stoppingLine && this.#framing === "flotilla.v1") {
        this.#options.onStopping?.();
        continue;
      }
      const parsed = parse(line);
      if (Array.isArray(parsed))
        messages.push(this.#countRelease(this.#messages.read(parsed as Message, context, nowMs), 1));
      else if (parsed !== null && typeof parsed === "object" && this.#framing === "flotilla.v1") {
        context = readContext(parsed, this.#options.callers, nowMs);
      } else throw violation("a message is an array");
    }
    return messages;
  }

  #take(messages: Message[]): void {
    if (this.#waiting.length > 0) {
      this.#options.intake?.unread(messages.length);
      for (const message of messages) this.#waiting.push(message);
      this.#frame = [];
      return;
    }
    const { pace } = this.#options;
    for (let at = 0; at < messages.length; at += 1) {
      const pause = pace?.next();
      if (pause) {
        this.#wait(at === 0 ? messages : messages.slice(at), pause);
        return;
      }
      this.#frameAt = at + 1;
      this.#work(messages[at]!);
      if (this.#session.failure) return;
    }
    this.#frame = [];
  }

  #wait(messages: Message[], pause: Promise<void>): void {
    this.#waiting = messages;
    this.#frame = [];
    this.#options.pace?.filled();
    this.#options.intake?.unread(messages.length);
    void pause.then(() => this.#goOn());
  }

  /** It is this session's turn, for one message. */
  #goOn(): void {
    for (;;) {
      if (this.#session.failure) return;
      const message = this.#waiting[this.#at]!;
      this.#at += 1;
      this.#options.intake?.unread(-1);
      const isLast = this.#at === this.#waiting.length;
      if (isLast) this.clear();
      try {
        this.#work(message);
      } catch (error) {
        this.#session.refuse(toFlotillaError(error));
        return;
      }
      if (isLast) return;
      const pause = this.#options.pace?.next();
      if (pause) {
        void pause.then(() => this.#goOn());
        return;
      }
    }
  }

  /** Drops waiting messages. SECURITY: they'd be worked off after the session is over. */
  clear(): void {
    if (this.#waiting.length > 0) {
      this.#options.pace?.emptied();
      this.#options.intake?.unread(this.#at - this.#waiting.length);
    }
    letGoOfAnswers(this.#waiting, this.#at);
    letGoOfAnswers(this.#frame, this.#frameAt);
    this.#waiting = [];
    this.#frame = [];
    this.#at = this.#frameAt = 0;
    for (const tell of this.#onAllRead.splice(0)) tell();
  }

  /** Resolves when every message that has arrived was worked off, or the session is over. */
  allRead(): Promise<void> {
    if (this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onAllRead.push(resolve));
  }

  /** In a batch every call counts, released or not. */
  #countRelease(message: Message, change: 1 | -1): Message {
    const [operation, subject] = message;
    if (operation === "release" && typeof subject !== "number" && this.#framing !== "batch") {
      this.#session.tables.releasing += change * (subject as Answer[]).length;
    }
    return message;
  }

  #work(message: Message): void {
    this.#countRelease(message, -1);
    const [operation, subject, content] = message;
    const session = this.#session;
    switch (operation) {
      case "push":
      case "call":
      case "stream":
        (subject as Answer).begin();
        return;
      case "pull":
        if (subject === 0) session.rejectMain(notOffered("the value of the main object"));
        else session.pulled(subject as Answer);
        return;
      case "release":
        if (typeof subject === "number") session.tables.takeBack(subject);
        else for (const answer of subject as Answer[]) session.release(answer);
        return;
      case "resolve":
        this.#resolved(session.answered(subject as number), message);
        return;
      case "reject":
        if ((subject as number) < 0) session.tables.broke(subject as number, toFlotillaError(content));
        else this.#rejected(session.answered(subject as number), content);
        return;
      case "abort":
        session.close(1000, endedByPeer(subject));
        return;
      default:
      // `pipe`: its answer stands.
    }
  }

  #resolved(question: Question | undefined, message: Message): void {
    const read = message[2] as ReadValue;
    if (!question) {
      letGoOf(read);
      return;
    }
    this.#session.heardAnswer();
    if (read.holes.length === 0) {
      question.ok(read.value);
      return;
    }
    // A hole that is the whole value gets filled in the message itself.
    message[2] = read.value;
    const stubs = [...read.stubs];
    fill(read.holes, stubs, {
      copying: this.#session.copying(),
      ok: () => question.ok(message[2]),
      fail(error) {
        letGoOf({ stubs, holes: [] });
        question.fail(error);
      },
    });
  }

  #rejected(question: Question | undefined, error: unknown): void {
    this.#session.heardAnswer(error);
    question?.fail(error);
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw violation("not JSON");
  }
}

function endedByPeer(reason: unknown): FlotillaError {
  return new FlotillaError("unavailable", "The peer ended the session", { reason: "session_ended", cause: reason });
}

/** Calls that were read and will not be worked off are in the tables; answers are known here alone. */
function letGoOfAnswers(messages: readonly Message[], from: number): void {
  for (const [operation, , content] of messages.slice(from)) if (operation === "resolve") letGoOf(content as ReadValue);
}
