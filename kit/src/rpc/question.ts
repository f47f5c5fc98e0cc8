import type { Alarm, Alarms } from "../base/alarms.ts";
import { type CallContext, deadlineExceeded } from "../base/context.ts";
import type { Call } from "./call.ts";
import type { Unwritten } from "./outbox.ts";
import { type Outcome, type Path, passOn, type Ref } from "./ref.ts";
import { disposedEarly, ResultRef } from "./result.ts";

/** The part of a session that a call of ours uses. */
export interface QuestionSession {
  readonly alarms: Alarms;
  send(id: number, path: Path, args: readonly unknown[] | undefined): Ref;
  /** The answer is awaited. */
  pull(question: Question): void;
  /** The last hold of the result has ended before the answer came. */
  letGoOf(question: Question): void;
}

/** A call of ours that the peer has not answered, and then its result. */
export class Question extends ResultRef implements Alarm, Unwritten {
  readonly id: number;
  readonly context: CallContext;
  readonly atMs: number;
  before: Alarm | undefined = undefined;
  after: Alarm | undefined = undefined;
  isPulled = false;
  /** The answer has come, and waits for what belongs into it: the peer knows the number no more. */
  isAnswered = false;
  readonly #session: QuestionSession;
  /** The call as an expression, until it has left. */
  #expression: string | undefined;
  /** Besides the first holder. */
  #copies: Set<Copy> | undefined;
  #holds = 1;

  constructor(session: QuestionSession, { id, context, expression }: NewQuestion) {
    super();
    this.#session = session;
    this.id = id;
    this.context = context;
    this.atMs = context.deadlineAtMs;
    this.#expression = expression;
  }

  /** Whether the peer knows its number. */
  get #isOpen(): boolean {
    return !this.isSettled && !this.isAnswered;
  }

  get isSent(): boolean {
    return this.#expression === undefined;
  }

  get charsMax(): number {
    return envelopeChars + this.#expression!.length;
  }

  /** The message that makes the call, once. One that is awaited by the time it leaves needs no message more. */
  write(): string {
    const expression = this.#expression!;
    this.#expression = undefined;
    return `["${this.isPulled ? "call" : "push"}",${expression}]`;
  }

  override call(path: Path, args: readonly unknown[]): Ref {
    return this.#isOpen ? this.#session.send(this.id, path, args) : super.call(path, args);
  }

  /** Passed on at once: unless the answer was pulled it never comes. */
  override deliver(path: Path, args: readonly unknown[], call: Call): void {
    if (this.#isOpen) passOn(this, path, args, call);
    else super.deliver(path, args, call);
  }

  override get(path: Path): Ref {
    if (path.length === 0) return this.dup();
    return this.#isOpen ? this.#session.send(this.id, path, undefined) : super.get(path);
  }

  override pull(outcome: Outcome): void {
    if (this.#isOpen && !this.isPulled) {
      this.isPulled = true;
      this.#session.pull(this);
      this.#session.alarms.set(this);
    }
    super.pull(outcome);
  }

  override dup(): Ref {
    if (this.isSettled) return super.dup();
    const copy = new Copy(this);
    this.#copies ??= new Set();
    this.#copies.add(copy);
    this.#holds += 1;
    return copy;
  }

  override dispose(): void {
    const isPending = !this.isSettled;
    super.dispose();
    if (isPending) this.letGo();
  }

  /** Ends one hold. After the last one the peer is told, and a caller that still awaits the result gets an error. */
  letGo(copy?: Copy): void {
    if (copy) this.#copies?.delete(copy);
    this.#holds -= 1;
    if (this.#holds > 0) return;
    this.#session.letGoOf(this);
    this.fail(disposedEarly);
  }

  ring(): void {
    this.#session.letGoOf(this);
    this.fail(deadlineExceeded(this.context.traceId));
  }

  protected override settled(): void {
    this.#session.alarms.cancel(this);
    const copies = this.#copies;
    this.#copies = undefined;
    for (const copy of copies ?? []) {
      if (this.error !== undefined) copy.fail(this.error);
      else if (!copy.isSettled) copy.relay(super.dup());
    }
    super.settled();
  }
}

interface NewQuestion {
  readonly id: number;
  readonly context: CallContext;
  /** Undefined for what was sent already. */
  readonly expression: string | undefined;
}

/** Characters around the expression of a call. */
const envelopeChars = 9;

/** One more hold of a question. Once that is answered it has what came for itself. */
class Copy extends ResultRef {
  readonly question: Question;

  constructor(question: Question) {
    super();
    this.question = question;
  }

  override call(path: Path, args: readonly unknown[]): Ref {
    return this.isSettled ? super.call(path, args) : this.question.call(path, args);
  }

  override deliver(path: Path, args: readonly unknown[], call: Call): void {
    if (this.isSettled) super.deliver(path, args, call);
    else this.question.deliver(path, args, call);
  }

  override get(path: Path): Ref {
    if (path.length === 0) return this.dup();
    return this.isSettled ? super.get(path) : this.question.get(path);
  }

  override dup(): Ref {
    return this.isSettled ? super.dup() : this.question.dup();
  }

  override pull(outcome: Outcome): void {
    if (!this.isSettled) this.question.pull(ignored);
    super.pull(outcome);
  }

  override dispose(): void {
    if (this.isSettled) super.dispose();
    else {
      this.question.letGo(this);
      this.fail(disposedEarly);
    }
  }
}

const ignored: Outcome = { ok() {}, fail() {} };

/** The question behind `ref` while it is not answered. */
export function questionOf(ref: Ref): Question | undefined {
  const question = ref instanceof Copy ? ref.question : ref;
  return question instanceof Question && !question.isSettled ? question : undefined;
}
