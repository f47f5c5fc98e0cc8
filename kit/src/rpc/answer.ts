import type { Alarm, Alarms } from "../base/alarms.ts";
import { type CallScope, deadlineExceeded, runInContext } from "../base/context.ts";
import type { FlotillaError } from "../base/errors.ts";
import type { Call } from "./call.ts";
import type { Pipe } from "./pipe.ts";
import { letGoOf, type ReadValue } from "./reader.ts";
import type { Path, Ref } from "./ref.ts";
import { ResultRef } from "./result.ts";
import type { SessionEnv } from "./session-env.ts";
import type { Raw } from "./stub.ts";
import { returnTo } from "./target.ts";
import { fill } from "./values.ts";
import type { WireStream } from "./wire-stream.ts";

/** The part of a session that a peer's call uses. */
export interface AnswerSession {
  readonly alarms: Alarms;
  readonly env: SessionEnv | undefined;
  /** @throws TypeError or FlotillaError for a value that isn't data, or is too large. */
  writeData(answer: Answer, value: unknown): string;
  /** It is relayed, and did not come in time. */
  late(answer: Answer, error: FlotillaError): void;
  /** Charges the peer for the values that one message of its has copied, and bounds them as if they stood in it. */
  copying(): (value: unknown) => void;
  /** It was settled: the peer is told, if it asked. */
  settled(answer: Answer): void;
}

/** A call of the peer's, and then its result, until the peer lets go of it. */
export class Answer extends ResultRef implements Call, Alarm {
  readonly id: number;
  readonly context: CallScope;
  readonly atMs: number;
  before: Alarm | undefined = undefined;
  after: Alarm | undefined = undefined;
  /** How many calls it stands on, itself included. */
  depth = 1;
  /** The peer asked for the result. */
  isPulled: boolean;
  /** The peer was told. */
  isAnswered = false;
  /** It is relayed, and its time is over: what the peer is told when it asks. */
  lateness: FlotillaError | undefined = undefined;
  /** A message was read by which the peer lets go of it. */
  isReleasing = false;
  /** The peer has let go of it. */
  isGone = false;
  /** The name of the method, for errors. */
  method = "the call";
  /** It is let go of as soon as it is answered: the peer calls nothing on it. */
  readonly isStream: boolean;
  isPlain = true;
  /** It is no call: the peer writes to a stream here, which nobody has taken yet. */
  pipe: Pipe | undefined = undefined;
  /** It writes to a stream, and so it is a part of a call under way. */
  isOfStream = false;
  /** It came to data, as it is sent. */
  text: string | undefined;
  /** The answer of whose result this is a part. */
  #whole: Answer | undefined;
  readonly #session: AnswerSession;
  #stubs: readonly Raw[] | undefined;
  #streams: readonly WireStream[] = none;
  #call: Asked | undefined;

  constructor(session: AnswerSession, { id, context, isStream, isPulled }: NewAnswer) {
    super();
    this.#session = session;
    this.id = id;
    this.context = context;
    this.isStream = isStream;
    this.isPulled = isPulled;
    this.atMs = context.deadlineAtMs;
  }

  get env(): SessionEnv | undefined {
    return this.#session.env;
  }

  /** The capability or other result it came to, if it did. */
  get cameTo(): Ref | undefined {
    return this.ref;
  }

  /** It must be nothing but data. */
  get isData(): boolean {
    return this.text !== undefined || this.#whole?.isData === true;
  }

  /** The streams among its arguments. */
  get streams(): readonly WireStream[] {
    return this.#streams;
  }

  get isRelaying(): boolean {
    return this.state === "relaying";
  }

  /** Keeps the call as it was read, until `begin`. */
  asked(call: Asked): void {
    this.#call = call;
  }

  begin(): void {
    const call = this.#call;
    this.#call = undefined;
    if (call === undefined) return;
    if (this.isSettled) {
      forget(call);
      return;
    }
    this.isPlain = call.isPlain;
    this.method = String(call.path.at(-1) ?? "the call");
    if (call.stubs.length > 0) this.#stubs = call.stubs;
    if (call.streams.length > 0) {
      this.#streams = call.streams;
      for (const stream of call.streams) stream.context = this.context;
    }
    if (!call.isCall) {
      if (call.on instanceof Answer) this.#whole = call.on;
      this.#session.alarms.set(this);
      this.relay(runInContext(this.context, () => call.on.get(call.path)));
      letGoOfTarget(call.on);
      return;
    }
    if (call.holes.length === 0) this.#deliver(call);
    else {
      const stubs = [...call.stubs];
      this.#stubs = stubs;
      // The peer may let go of a result while the arguments of a call on it are not there.
      const on = call.on instanceof Answer ? call.on.hold() : call.on;
      const filled = { ...call, on, stubs, holes: [] };
      fill(call.holes, stubs, {
        copying: this.#session.copying(),
        ok: () => this.#deliver(filled),
        fail: (error) => {
          this.fail(error);
          forget(filled);
        },
      });
    }
    if (!this.isSettled || this.isRelaying) this.#session.alarms.set(this);
  }

  #deliver(call: Asked): void {
    if (this.isSettled) {
      forget(call);
      return;
    }
    call.on.deliver(call.path, call.value as readonly unknown[], this);
    letGoOfTarget(call.on);
  }

  ring(): void {
    const error = deadlineExceeded(this.context.traceId);
    // Only the answer of a relayed call is late; calls on its result go on.
    if (this.isRelaying) this.#session.late(this, error);
    else this.fail(error);
  }

  returned(value: unknown): void {
    returnTo(this, value);
  }

  /** Written at once, which proves it: nothing that its owner does to it later reaches the peer. */
  returnedData(value: unknown): void {
    this.text = this.#session.writeData(this, value);
    this.ok(value);
  }

  onSettled(run: (error?: unknown) => void): void {
    this.later(() => run(this.error));
  }

  protected override settled(): void {
    if (!this.isRelaying || this.isGone) this.#session.alarms.cancel(this);
    // Before the answer leaves, so a caller that hears it knows that its capabilities were released.
    if (this.#stubs) for (const raw of this.#stubs) raw.dispose();
    this.#stubs = undefined;
    for (const stream of this.#streams) stream[Symbol.dispose]();
    this.context.isAnswered = true;
    this.#session.settled(this);
    super.settled();
  }

  override dispose(): void {
    if (this.#call) forget(this.#call);
    this.#call = undefined;
    // A call that has begun ends at its deadline, even when its result was released.
    if (this.isSettled) this.#session.alarms.cancel(this);
    // Nothing in data is the call's, and its owner may have changed it since.
    if (this.text !== undefined) this.value = undefined;
    super.dispose();
  }

  #copyTo(held: ResultRef): void {
    try {
      this.#session.copying()(this.data);
      held.relay(this.dup());
    } catch (error) {
      held.fail(error);
    }
  }

  /** A hold for an expression that refers to the result, there or not. */
  hold(): Ref {
    const held = new ResultRef();
    this.later(() => {
      if (this.error !== undefined) held.fail(this.error);
      else if (this.text !== undefined) held.lend(this.value);
      else this.#copyTo(held);
    });
    return held;
  }
}

const none: readonly never[] = [];

/** An answer is the peer's to let go of. */
function letGoOfTarget(on: Ref): void {
  if (!(on instanceof Answer)) on.dispose();
}

interface NewAnswer {
  readonly id: number;
  readonly context: CallScope;
  readonly isStream: boolean;
  readonly isPulled: boolean;
}

/** A call as it was read; `value` are its arguments. */
export interface Asked extends ReadValue {
  /** The target of the call: an answer, or a hold of a capability. */
  readonly on: Ref;
  readonly path: Path;
  /** Else a property, which is read. */
  readonly isCall: boolean;
}

function forget(asked: Asked): void {
  letGoOf(asked);
  letGoOfTarget(asked.on);
}
