import type { Clock } from "../base/clock.ts";
import { contextToSend, currentContext } from "../base/context.ts";
import type { FlotillaError } from "../base/errors.ts";
import type { Limits } from "../base/limits.ts";
import { exhausted, violation } from "../transport/refusals.ts";
import { Answer } from "./answer.ts";
import { FarWriter, NearWritable } from "./far-stream.ts";
import { Import, type ImportSession } from "./import.ts";
import { Question, type QuestionSession, questionOf } from "./question.ts";
import type { ReaderSession } from "./reader.ts";
import type { Ref } from "./ref.ts";
import { Ring } from "./ring.ts";
import { StreamBudget, type WireStream } from "./wire-stream.ts";
import type { SentStream, WriterSession } from "./writer.ts";

/** A capability that the peer was given. */
interface Given {
  readonly id: number;
  readonly ref: Ref;
  /** Listens no longer whether it is broken. */
  readonly forget: () => void;
}

interface TablesOptions {
  readonly limits: Limits;
  readonly sendLimits: WriterSession["sendLimits"];
  /** The main object of this side. Owned by the tables. */
  readonly main: Ref;
  readonly session: ImportSession & QuestionSession & { readonly clock: Clock };
  /** Sends a message that holds no call. */
  readonly say: (message: string) => void;
  readonly writeError: (thrown: unknown) => string;
}

/**
 * The calls and capabilities that the two sides of a session hold of each other. Ids go up from 1 for calls, which both
 * sides count; and down from -1 for capabilities, which the giver counts. 0 is a side's main object.
 */
export class Tables implements ReaderSession, WriterSession {
  /** Ours, and not answered. */
  readonly questions = new Ring<Question>();
  /** The peer's, and not let go of. */
  readonly answers = new Ring<Answer>();
  /** Answers that the peer has let go of by messages that were read and not worked off: calls after those count without. */
  releasing = 0;
  readonly remoteMain: Import;
  readonly limits: Limits;
  readonly sendLimits: WriterSession["sendLimits"];
  /** Counts the bytes of streams in both directions. */
  readonly streams: StreamBudget;
  readonly #imports = new Ring<Import>();
  readonly #given = new Ring<Given>();
  readonly #options: TablesOptions;
  #lastAnswer = 0;
  #lastQuestion = 0;
  #lastGiven = 0;

  constructor(options: TablesOptions) {
    this.#options = options;
    this.limits = options.limits;
    this.sendLimits = options.sendLimits;
    this.streams = new StreamBudget(options.limits.streamBytesMax);
    this.remoteMain = new Import(options.session, 0);
  }

  get stats(): { imports: number; exports: number } {
    return {
      imports: 1 + this.questions.size + this.#imports.size,
      exports: 1 + this.answers.size + this.#given.size,
    };
  }

  nextQuestion(): number {
    this.#lastQuestion += 1;
    return this.#lastQuestion;
  }

  /** @throws FlotillaError `resource_exhausted`, which ends the session: the peer has counted the call. */
  nextAnswer(): number {
    const outstandingCallsMax = this.limits.outstandingCallsMax + this.releasing;
    if (this.answers.size >= outstandingCallsMax) {
      throw exhausted(`more than ${this.limits.outstandingCallsMax} calls that were not released`);
    }
    this.#lastAnswer += 1;
    return this.#lastAnswer;
  }

  import(id: number): Ref {
    const known = this.#imports.get(id);
    if (known) {
      known.remoteHolds += 1;
      return known.dup();
    }
    const { exportsMax } = this.limits;
    if (this.#imports.size >= exportsMax) throw exhausted(`more than ${exportsMax} capabilities at once`);
    const entry = new Import(this.#options.session, id);
    this.#imports.add(entry);
    return entry;
  }

  /** The peer says that `id`, which it gave us, is lost. */
  broke(id: number, error: FlotillaError): void {
    this.#imports.get(id)?.broke(error);
  }

  /** Whether it is the peer's main object, or a capability of its that is held here. */
  isHeld(id: number): boolean {
    return id === 0 || this.#imports.get(id) !== undefined;
  }

  letGo(entry: Import): void {
    if (this.#imports.delete(entry.id)) this.#options.say(`["release",${entry.id},${entry.remoteHolds}]`);
  }

  refuse(id: number): void {
    if (id > 0) this.pipe(id)?.[Symbol.dispose]();
    else this.#options.say(`["release",${id},1]`);
  }

  pipe(id: number): WireStream | undefined {
    const answer = this.answers.get(id);
    const pipe = answer?.pipe;
    // Each has one reader.
    if (answer) answer.pipe = undefined;
    return pipe;
  }

  /** @throws FlotillaError when it cannot be sent. */
  sendStream(stream: ReadableStream): SentStream {
    const { session } = this.#options;
    const question = new Question(session, {
      id: this.nextQuestion(),
      context: contextToSend(session.clock),
      expression: undefined,
    });
    this.questions.add(question);
    this.#options.say('["pipe"]');
    const writer = new FarWriter(question, currentContext());
    stream.pipeTo(writer.stream()).catch(() => {});
    return { id: question.id, fail: (error) => writer.fail(error) };
  }

  receiver(stream: WritableStream): object {
    return new NearWritable(stream, this.streams);
  }

  entry(id: number): Ref {
    const on = this.target(id);
    return on instanceof Answer ? on.hold() : on.dup();
  }

  /**
   * A call of the peer's, which may still name it: nobody names a stream, and nobody what they have let go of.
   * @throws FlotillaError a violation of the protocol.
   */
  answer(id: number): Answer {
    const answer = this.answers.get(id);
    if (!answer || answer.isReleasing || answer.isStream) throw violation("no such call");
    return answer;
  }

  /** The target of a peer's call. Borrowed. @throws FlotillaError a violation of the protocol. */
  target(id: number): Ref {
    if (id === 0) return this.#options.main;
    if (id > 0) return this.answer(id);
    const given = this.#given.get(id);
    if (!given) throw violation("no such capability");
    return given.ref;
  }

  give(ref: Ref): number {
    const { outstandingCallsMax } = this.limits;
    if (this.#given.size >= outstandingCallsMax) {
      ref.dispose();
      throw exhausted(`more than ${outstandingCallsMax} capabilities that were not released`);
    }
    this.#lastGiven -= 1;
    const id = this.#lastGiven;
    // After the message that gives it, when it is broken already.
    const forget = ref.onBroken((error) => queueMicrotask(() => this.#tellBroken(id, error)));
    this.#given.add({ id, ref, forget });
    return id;
  }

  #tellBroken(id: number, error: FlotillaError): void {
    if (this.#given.get(id)) this.#options.say(`["reject",${id},${this.writeError(error)}]`);
  }

  takeBack(id: number): void {
    const given = this.#given.get(id);
    if (!given) throw violation("no such capability");
    this.#given.delete(id);
    given.forget();
    given.ref.dispose();
  }

  numberOf(ref: Ref): number | undefined {
    if (ref instanceof Import) return ref.session === this.#options.session ? ref.id : undefined;
    const question = questionOf(ref);
    return question && this.questions.get(question.id) === question ? question.id : undefined;
  }

  writeError(thrown: unknown): string {
    return this.#options.writeError(thrown);
  }

  /** The session is over: lets go of everything. */
  clear(reasonOfCalls: FlotillaError, lost: FlotillaError): void {
    const questions = this.questions.all();
    this.questions.clear();
    for (const question of questions) question.fail(reasonOfCalls);
    const imports = this.#imports.all();
    this.#imports.clear();
    for (const entry of imports) entry.broke(lost);
    this.remoteMain.broke(reasonOfCalls);
    const answers = this.answers.all();
    this.answers.clear();
    for (const answer of answers) answer.dispose();
    const given = this.#given.all();
    this.#given.clear();
    for (const { ref, forget } of given) {
      forget();
      ref.dispose();
    }
    this.#options.main.dispose();
  }
}
