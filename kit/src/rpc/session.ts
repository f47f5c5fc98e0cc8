import { type Alarms, alarmsOf } from "../base/alarms.ts";
import type { Clock } from "../base/clock.ts";
import { contextToSend } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { afterTurn } from "../base/platform.ts";
import { overloadedReason } from "../resilience/turns.ts";
import type { Channel } from "../transport/channel.ts";
import { sessionEnded, slowReader } from "../transport/refusals.ts";
import type { Answer, AnswerSession } from "./answer.ts";
import { stoppingLine } from "./context-line.ts";
import { chargeCopies } from "./copies.ts";
import { capabilityLost, type Import, type ImportSession } from "./import.ts";
import { Inbox, type InboxSession } from "./inbox.ts";
import { Outbox } from "./outbox.ts";
import { Question, type QuestionSession } from "./question.ts";
import { BrokenRef, type Path, type Ref } from "./ref.ts";
import type { SessionEnv } from "./session-env.ts";
import type { RpcSessionOptions } from "./session-options.ts";
import { stoppingRefusal } from "./stopping.ts";
import { stubOf } from "./stub.ts";
import { Tables } from "./tables.ts";
import { TargetRef } from "./target.ts";
import { noSuchMember } from "./values.ts";
import { writeError } from "./wire-error.ts";
import { asRefusal, Writer } from "./writer.ts";

/** One session of Cap'n Web over a channel, which it owns. Both sides are the same: each calls, and each answers. */
export class RpcSession implements InboxSession, ImportSession, QuestionSession, AnswerSession {
  readonly clock: Clock;
  readonly alarms: Alarms;
  readonly env: SessionEnv | undefined;
  readonly tables: Tables;
  /** The peer's main object. */
  readonly remoteMain: object;
  failure: FlotillaError | undefined;
  isRefusing = false;
  readonly #channel: Channel;
  readonly #options: RpcSessionOptions;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #writer: Writer;
  /** The trace of the call that is being written. */
  #requestId: string | undefined;
  /** Calls of the peer's whose answer it waits for. */
  #awaited = 0;
  #onIdle: PromiseWithResolvers<void>[] = [];

  constructor(channel: Channel, options: RpcSessionOptions) {
    const { limits, sendLimits, localMain, clock } = options;
    this.#channel = channel;
    this.#options = options;
    this.clock = clock;
    this.alarms = alarmsOf(clock);
    this.env = options.env;
    this.#outbox = new Outbox(channel.framing, clock, (frame) => this.#sendFrame(frame));
    this.tables = new Tables({
      limits,
      sendLimits,
      main: localMain ? new TargetRef(localMain) : new BrokenRef(noSuchMember([])),
      session: this,
      say: (message) => this.#say(message),
      writeError: (thrown) => this.#writeError(thrown),
    });
    this.#writer = new Writer(this.tables);
    this.#inbox = new Inbox(channel.framing, this, options);
    this.remoteMain = stubOf(this.tables.remoteMain);
    channel.listen({
      frame: (text) => this.#inbox.frame(text),
      closed: (reason, heard) => this.end(reason, heard),
    });
  }

  // ---- What we call

  send(id: number, path: Path, args: readonly unknown[] | undefined): Ref {
    if (this.failure) return new BrokenRef(this.failure).call(path, args ?? []);
    const context = contextToSend(this.clock);
    this.#requestId = context.traceId;
    let expression = `["pipeline",${id},${JSON.stringify(path)}`;
    try {
      if (args) expression += `,${this.#writer.writeArguments(args)}`;
    } catch (error) {
      return new BrokenRef(asRefusal(error, "arguments", nameOf(path)));
    }
    expression += "]";
    const question = new Question(this, { id: this.tables.nextQuestion(), context, expression });
    this.tables.questions.add(question);
    this.#outbox.add(question, context);
    return question;
  }

  pull(question: Question): void {
    this.#options.answers?.onAsked();
    if (question.isSent) this.#say(`["pull",${question.id}]`);
  }

  letGoOf(question: Question): void {
    if (this.tables.questions.delete(question.id)) this.#say(`["release",${question.id},1]`);
  }

  letGo(entry: Import): void {
    this.tables.letGo(entry);
  }

  answered(id: number): Question | undefined {
    const question = this.tables.questions.get(id);
    if (!question) return undefined;
    this.tables.questions.delete(id);
    question.isAnswered = true;
    if (!this.failure) this.#outbox.release(id);
    return question;
  }

  heardAnswer(error?: unknown): void {
    const { answers } = this.#options;
    if (answers) answers.onAnswer(error instanceof FlotillaError && error.reason === overloadedReason);
  }

  // ---- What we are asked

  pulled(answer: Answer): void {
    if (answer.isPulled) return;
    answer.isPulled = true;
    this.#awaited += 1;
    if (answer.isSettled) this.#answer(answer);
  }

  begun(answer: Answer): void {
    this.tables.answers.add(answer);
    if (answer.isPulled) this.#awaited += 1;
    if (this.isRefusing && !answer.isOfStream) answer.fail(stoppingRefusal);
  }

  writeData(answer: Answer, value: unknown): string {
    this.#requestId = answer.context.traceId;
    try {
      return this.#writer.write(value, "data");
    } catch (error) {
      throw asRefusal(error, "answer", answer.method);
    }
  }

  copying(): (value: unknown) => void {
    return chargeCopies(this.#options.limits, this.#options.intake);
  }

  settled(answer: Answer): void {
    if (answer.isPulled) this.#answer(answer);
  }

  #answer(answer: Answer): void {
    if (answer.isAnswered) return;
    const ref = answer.cameTo;
    const { text } = answer;
    if (answer.error !== undefined) this.#reject(answer, answer.error);
    else if (answer.lateness) this.#reject(answer, answer.lateness);
    else if (text !== undefined) this.#resolve(answer, () => text);
    else if (!ref) this.#resolve(answer, () => this.#writer.write(answer.data));
    else if (!answer.isRelaying) this.#resolve(answer, () => this.#writer.writeRef(ref));
    else {
      const kind = answer.isData ? "data" : "any";
      ref.pull({
        ok: (value) => this.#resolve(answer, () => this.#writer.write(value, kind)),
        fail: (error) => this.#reject(answer, error),
      });
    }
  }

  #resolve(answer: Answer, write: () => string): void {
    if (this.failure || answer.isGone || answer.isAnswered) return;
    this.#requestId = answer.context.traceId;
    try {
      this.#tell(answer, `["resolve",${answer.id},${write()}]`);
    } catch (error) {
      this.#reject(answer, asRefusal(error, "answer", answer.method));
    }
  }

  #reject(answer: Answer, error: unknown): void {
    if (this.failure || answer.isGone || answer.isAnswered) return;
    const text = writeError(error, answer.context.traceId, this.#options.onHiddenError);
    this.#tell(answer, `["reject",${answer.id},${text}]`);
  }

  late(answer: Answer, error: FlotillaError): void {
    answer.lateness = error;
    if (answer.isPulled && !answer.isAnswered) this.#reject(answer, error);
  }

  #tell(answer: Answer, message: string): void {
    answer.isAnswered = true;
    this.alarms.cancel(answer);
    this.#say(message);
    if (answer.isPulled) this.#answeredOne();
    if (answer.isStream) this.release(answer);
  }

  release(answer: Answer): void {
    this.tables.answers.delete(answer.id);
    answer.isGone = true;
    answer.dispose();
    if (answer.isPulled && !answer.isAnswered) this.#answeredOne();
  }

  pipeFailed(answer: Answer, error: unknown): void {
    if (!answer.isPulled) this.#reject(answer, error);
  }

  rejectMain(error: FlotillaError): void {
    this.#say(`["reject",0,${this.#writeError(error)}]`);
  }

  #answeredOne(): void {
    this.#awaited -= 1;
    if (this.#awaited > 0) return;
    for (const { resolve } of this.#onIdle.splice(0)) resolve();
  }

  // ---- What leaves

  #say(message: string): void {
    if (!this.failure) this.#outbox.add(message);
  }

  #writeError(thrown: unknown): string {
    return writeError(thrown, this.#requestId, this.#options.onHiddenError);
  }

  #sendFrame(frame: string): void {
    if (this.#channel.bufferedBytes() + frame.length > this.#options.limits.sendBufferBytesMax) {
      // First, so that this is the reason that everybody hears, and not that the channel is closed.
      this.end(slowReader());
      this.#channel.terminate();
      return;
    }
    this.#options.onFrame?.("out", frame);
    this.#channel.send(frame);
  }

  // ---- The end

  /** Sends the stopping line after everything sent before; a stock peer doesn't know it and gets nothing. */
  sayStopping(): void {
    if (this.failure || this.#channel.framing !== "flotilla.v1") return;
    this.#outbox.add(stoppingLine);
    this.#outbox.flush();
  }

  /** From now on new calls are refused. Resolves when those that the peer waits for were answered. */
  async drain(): Promise<void> {
    this.isRefusing = true;
    await this.#inbox.allRead();
    await new Promise<void>((resolve) => afterTurn(resolve));
    if (this.failure) throw this.failure;
    if (this.#awaited === 0) return;
    const idle = Promise.withResolvers<void>();
    this.#onIdle.push(idle);
    await idle.promise;
  }

  /** @param heard what calls under way fail with. */
  close(code: number, reason: FlotillaError, heard = reason): void {
    this.#outbox.flush();
    // First, so that this is the reason that everybody hears, and not that the channel is closed.
    this.end(reason, heard);
    this.#channel.close(code, reason.code);
  }

  /** The peer is at fault: it is told, and the session is over. */
  refuse(reason: FlotillaError): void {
    if (this.failure) return;
    this.#requestId = undefined;
    this.#outbox.add(`["abort",${this.#writeError(reason)}]`);
    this.close(1008, reason, sessionEnded(reason));
  }

  end(reason: FlotillaError, heard = reason): void {
    if (this.failure) return;
    this.failure = heard;
    this.#options.onFailed?.(reason);
    if (reason.code !== "unavailable") this.#options.onRefused?.(reason);
    this.#inbox.clear();
    this.#outbox.end();
    // Queued calls will not run.
    this.env?.turns?.end();
    for (const { reject } of this.#onIdle.splice(0)) reject(heard);
    this.tables.clear(heard, capabilityLost(this.#options.callers.peerName, heard));
  }
}

function nameOf(path: Path): string {
  return path.length === 0 ? "the call" : path.join(".");
}
