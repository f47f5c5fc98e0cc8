import type { Clock } from "../base/clock.ts";
import { type CallContext, CallScope } from "../base/context.ts";
import { newTraceId } from "../base/ids.ts";
import { deadlineMsDefault, type Limits } from "../base/limits.ts";
import type { Framing } from "../transport/channel.ts";
import { exhausted, isViolation, violation } from "../transport/refusals.ts";
import { Answer, type AnswerSession } from "./answer.ts";
import { type CallerPolicy, type Received, received } from "./context-line.ts";
import { notOffered } from "./not-offered.ts";
import { Pipe } from "./pipe.ts";
import { letGoOf, pathIn, Reader, type ReadValue } from "./reader.ts";
import type { Tables } from "./tables.ts";
import { TargetRef } from "./target.ts";
import type { Parent } from "./values.ts";

/** A message, in place of whose expression stands what was read from it. */
export type Message = [operation: string, subject: unknown, content?: unknown];

/** The part of a session that hears of calls in messages. */
export interface MessageSession extends AnswerSession {
  readonly clock: Clock;
  readonly tables: Tables;
  /** A call of the peer's was read. */
  begun(answer: Answer): void;
  /** Nobody reads any more from the pipe that `answer` is. */
  pipeFailed(answer: Answer, error: unknown): void;
}

export interface MessageOptions {
  readonly limits: Limits;
  readonly callers: CallerPolicy;
  readonly callContext?: (Received & Pick<CallContext, "arrivedAtMs">) | undefined;
}

/** Reads messages whole: after it nothing in them can be refused any more. */
export class MessageReader {
  readonly #session: MessageSession;
  readonly #options: MessageOptions;
  /** The peer is one of ours, which has messages that a stock one does not know (docs/protocol.md). */
  readonly #isOurs: boolean;
  readonly #framing: Framing;
  readonly #values: Reader;

  constructor(framing: Framing, session: MessageSession, options: MessageOptions) {
    this.#isOurs = framing === "flotilla.v1";
    this.#framing = framing;
    this.#session = session;
    this.#options = options;
    this.#values = new Reader(session.tables);
  }

  /** @throws FlotillaError a violation of the protocol, or a limit of the session's; either ends it. */
  read(message: Message, context: Received | undefined, nowMs: number): Message {
    const [operation] = message;
    const isCall = operation === "push" || operation === "stream" || (operation === "call" && this.#isOurs);
    if (isCall) return this.#readPush(message, context, nowMs);
    switch (operation) {
      case "pipe": {
        this.#beginPipe(this.#newAnswer("pipe", context, nowMs));
        return message;
      }
      case "resolve":
      case "reject":
        return this.#readAnswer(message);
      case "pull":
        if (!Number.isSafeInteger(message[1]) || (message[1] as number) < 0)
          throw violation("pull takes the id of a call");
        if (message[1] !== 0) message[1] = this.#session.tables.answer(message[1] as number);
        return message;
      case "release":
        this.#readRelease(message);
        return message;
      case "abort":
        message[1] = this.#readError(message, 1);
        return message;
      default:
        throw violation("unknown or disabled operation");
    }
  }

  #readPush(message: Message, context: Received | undefined, nowMs: number): Message {
    if (message.length < 2) throw violation(`${message[0]} takes a call`);
    message[1] = this.#readCall(message[1], this.#newAnswer(message[0], context, nowMs));
    return message;
  }

  /** In a batch there is no pipe: nothing comes after it, so that a reader would wait for ever. */
  #beginPipe(answer: Answer): void {
    this.#session.begun(answer);
    if (answer.isSettled) return;
    if (this.#framing === "batch") {
      answer.fail(notOffered("readable"));
      return;
    }
    answer.pipe = new Pipe(this.#session.tables.streams, (error) => this.#session.pipeFailed(answer, error));
    answer.okRef(new TargetRef(answer.pipe.writableEnd));
    answer.isOfStream = true;
  }

  #newAnswer(operation: string, context: Received | undefined, nowMs: number): Answer {
    const { callContext, callers } = this.#options;
    const { tables, clock } = this.#session;
    // A call without a context (a stock peer's) gets a fresh one, so that none runs without trace and deadline.
    const own = context ?? callContext ?? received(newTraceId(), deadlineMsDefault, { ...callers, via: [], nowMs });
    const arrivedAtMs = context ? nowMs : (callContext?.arrivedAtMs ?? nowMs);
    const scope = new CallScope(own, clock, arrivedAtMs);
    const isStream = operation === "stream";
    const isPulled = isStream || operation === "call";
    return new Answer(this.#session, { id: tables.nextAnswer(), context: scope, isStream, isPulled });
  }

  /** A refusal is the call's own error. The call enters the table last, so that it can't refer to itself. */
  #readCall(expression: unknown, answer: Answer): Answer {
    let refusal: unknown;
    try {
      this.#readAsked(expression, answer);
    } catch (error) {
      if (isViolation(error)) throw error;
      refusal = error;
    }
    this.#session.begun(answer);
    if (refusal !== undefined) answer.fail(refusal);
    return answer;
  }

  #readAsked(expression: unknown, answer: Answer): void {
    const [tag, id] = Array.isArray(expression) ? (expression as unknown[]) : [];
    if (tag !== "pipeline" && tag !== "import") {
      this.#readUnseen({ expression }, "expression");
      throw notOffered("a value in place of a call");
    }
    const { tables } = this.#session;
    const [, , , args] = expression as unknown[];
    if (!Number.isSafeInteger(id)) throw violation(`${tag} takes an id`);
    if ((expression as unknown[]).length > 4 || !(args === undefined || Array.isArray(args))) {
      throw violation("a call takes a path and its arguments");
    }
    const path = pathIn(expression as unknown[]);
    const on = tables.target(id as number);
    const read = args ? this.#values.readArguments(args) : nothingRead;
    answer.asked({ ...read, on: on instanceof Answer ? on : on.dup(), path, isCall: args !== undefined });
    if (on instanceof Answer) {
      answer.depth = on.depth + 1;
      answer.isOfStream = on.isOfStream;
    }
    const { pipelineDepthMax } = this.#options.limits;
    if (path.length > pipelineDepthMax) throw exhausted(`a path of more than ${pipelineDepthMax} names`);
    if (answer.depth > pipelineDepthMax) throw exhausted(`more than ${pipelineDepthMax} calls pipelined on each other`);
  }

  /** Leaves the calls that it lets go of, or the number of a capability. */
  #readRelease(message: Message): void {
    const [, subject, count] = message;
    if (this.#isOurs && Array.isArray(subject) && message.length === 2) {
      message[1] = subject.map((id) => this.#released(id));
      return;
    }
    // The main object lives as long as its session; no peer releases it (a stock one aborts instead).
    if (!Number.isSafeInteger(subject) || subject === 0)
      throw violation("release takes the id of a call or of a capability");
    // Each is given once, under a number of its own.
    if (count !== 1) throw violation("release takes a count, which is 1");
    if ((subject as number) > 0) message[1] = [this.#released(subject)];
  }

  /** SECURITY: each once, or a peer could make the calls that it has let go of as many as it likes before one of them is. */
  #released(id: unknown): Answer {
    const answer = this.#session.tables.answer(id as number);
    answer.isReleasing = true;
    return answer;
  }

  #readAnswer(message: Message): Message {
    const [operation, id] = message;
    if (!Number.isSafeInteger(id)) throw violation(`${operation} takes an id`);
    if ((message as unknown[]).length < 3) throw violation(`${operation} takes a value`);
    // SECURITY: a peer must not resolve our view of its main object, or of a capability, to something of ours: our calls to
    // it would come back to us. It may say that a capability is lost.
    const mayBe = operation === "reject" ? (id as number) !== 0 : !this.#session.tables.isHeld(id as number);
    if (!mayBe) throw violation(`${operation} takes the id of a call`);
    if (operation === "reject") {
      message[2] = this.#readError(message, 2);
      return message;
    }
    try {
      message[2] = this.#values.read(message as unknown as Parent, 2);
    } catch (error) {
      if (isViolation(error)) throw error;
      message[0] = "reject";
      message[2] = error;
    }
    return message;
  }

  /** A peer may send any value in place of an error. */
  #readError(message: Message, at: 1 | 2): unknown {
    try {
      return this.#readUnseen(message as unknown as Parent, at);
    } catch (error) {
      if (isViolation(error)) throw error;
      return error;
    }
  }

  /** Lets go of the capabilities in it. */
  #readUnseen(parent: Parent, key: string | number): unknown {
    const read = this.#values.read(parent, key);
    letGoOf(read);
    return read.value;
  }
}

const none: readonly never[] = [];
const nothingRead: ReadValue = { value: none, stubs: none, holes: none, streams: none, isPlain: true };
