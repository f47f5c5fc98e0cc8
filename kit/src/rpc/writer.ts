import { FlotillaError } from "../base/errors.ts";
import type { Limits } from "../base/limits.ts";
import { writeBytes } from "./bytes.ts";
import { BrokenRef, type Ref } from "./ref.ts";
import { ResultRef } from "./result.ts";
import { type Raw, RpcTarget, rawOf } from "./stub.ts";
import { TargetRef } from "./target.ts";
import {
  asFault,
  assertNoForeignStub,
  inside,
  isStream,
  Unsendable,
  unsendableArgument,
  unsendableObject,
} from "./unsendable.ts";
import { isPlainObject } from "./values.ts";

/** Limits of the peer on one message. */
export type SendLimits = Pick<Limits, "frameBytesMax" | "messageNodesMax" | "messageDepthMax">;

/** A stream whose bytes are sent to a pipe of the peer's. */
export interface SentStream {
  /** The number of the pipe. */
  readonly id: number;
  /** Ends it at both ends: the message that names it was not sent. */
  fail(error: unknown): void;
}

/** The tables that messages being written refer to. */
export interface WriterSession {
  readonly sendLimits: SendLimits;
  /** Enters `ref`, which it takes, into the table of what the peer was given. @throws FlotillaError when that is full. */
  give(ref: Ref): number;
  /** Takes back a capability whose message was not sent. */
  takeBack(id: number): void;
  /** The number of `ref` in the peer's table, if it is the peer's, or the result of a call to it that is not there yet. */
  numberOf(ref: Ref): number | undefined;
  writeError(thrown: unknown): string;
  /** Sends the bytes of `stream`, from now on. */
  sendStream(stream: ReadableStream): SentStream;
  /** An object by which the peer writes to `stream`. */
  receiver(stream: WritableStream): object;
}

/** `data`: capabilities and errors in it are a fault. */
type Kind = "any" | "data";

/** Writes values as expressions of Cap'n Web, and proves on the way that they are what they should be. */
export class Writer {
  readonly #session: WriterSession;
  #kind: Kind = "any";
  #nodes = 0;
  /** Given by the message that is being written. */
  #given: number[] = [];
  /** Streams that are sent for the message that is being written. */
  #sent: SentStream[] = [];
  /** A call is written, for whose arguments contracts may ask. */
  #isCall = false;
  #isWriting = false;

  constructor(session: WriterSession) {
    this.#session = session;
  }

  /** @throws FlotillaError, after which nothing was given: what cannot be sent, and where in the value it stands. */
  write(value: unknown, kind: Kind = "any"): string {
    if (this.#isWriting) return new Writer(this.#session).write(value, kind);
    return this.#whole(kind, () => this.#value(value, 0));
  }

  /** The arguments of a call, in the order of its parameters. @throws as `write`. */
  writeArguments(args: readonly unknown[]): string {
    // A getter in a value that is being written makes a call.
    if (this.#isWriting) return new Writer(this.#session).writeArguments(args);
    this.#isCall = true;
    return this.#whole("any", () => `[${this.#items(args, 1)}]`);
  }

  /** A capability that is a whole result. */
  writeRef(ref: Ref): string {
    const own = ref.standsFor;
    if (this.#isWriting) return new Writer(this.#session).writeRef(ref);
    return this.#whole("any", () => this.#capability(own, this.#session.numberOf(own)));
  }

  #whole(kind: Kind, write: () => string): string {
    this.#kind = kind;
    this.#nodes = 0;
    if (this.#given.length > 0) this.#given = [];
    if (this.#sent.length > 0) this.#sent = [];
    this.#isWriting = true;
    try {
      const text = write();
      this.#checkSize(text);
      return text;
    } catch (error) {
      for (const id of this.#given) this.#session.takeBack(id);
      for (const sent of this.#sent) sent.fail(error);
      throw error;
    } finally {
      this.#isWriting = this.#isCall = false;
    }
  }

  #checkSize(text: string): void {
    const { frameBytesMax, messageNodesMax } = this.#session.sendLimits;
    if (this.#nodes > messageNodesMax) throw new TooLarge(`more than ${messageNodesMax} values`);
    // A character is three bytes at most.
    if (text.length * 3 > frameBytesMax && bytesOf(text) > frameBytesMax - envelopeBytes) {
      throw new TooLarge(`more than ${frameBytesMax} bytes`);
    }
  }

  #value(value: unknown, depth: number): string {
    this.#nodes += 1;
    switch (typeof value) {
      case "string":
        return JSON.stringify(value);
      case "number":
        return Number.isFinite(value) ? `${value}` : notFinite(value);
      case "boolean":
        return value ? "true" : "false";
      case "undefined":
        return '["undefined"]';
      case "bigint":
        return `["bigint","${value}"]`;
      case "object":
        return value === null ? "null" : this.#object(value, depth);
      case "function":
        return this.#function(value);
      default:
        throw new Unsendable(`a ${typeof value}`);
    }
  }

  #object(value: object, depth: number): string {
    const { messageDepthMax, messageNodesMax } = this.#session.sendLimits;
    if (depth >= messageDepthMax) throw new Unsendable(`nested deeper than ${messageDepthMax} (or within itself)`);
    if (this.#nodes > messageNodesMax) throw new TooLarge(`more than ${messageNodesMax} values`);
    if (Array.isArray(value)) return `[[${this.#items(value, depth + 1)}]]`;
    if (isPlainObject(value)) return this.#plain(value, depth + 1);
    if (value instanceof RpcTarget) return this.#byReference(new TargetRef(value));
    if (value instanceof Date) {
      const ms = value.getTime();
      return `["date",${Number.isNaN(ms) ? "null" : ms}]`;
    }
    const bytes = writeBytes(value);
    if (bytes !== undefined) return bytes;
    if (value instanceof URL) return `["url",${JSON.stringify(value.href)}]`;
    if (value instanceof Error && this.#kind !== "data") return this.#session.writeError(value);
    if (this.#isCall && isStream(value)) return this.#stream(value);
    throw unsendableObject(value);
  }

  #stream(stream: ReadableStream | WritableStream): string {
    if (stream.locked) throw new Unsendable("a stream that is locked");
    if (stream instanceof WritableStream) {
      const id = this.#session.give(new TargetRef(this.#session.receiver(stream)));
      this.#given.push(id);
      return `["writable",${id}]`;
    }
    const sent = this.#session.sendStream(stream);
    this.#sent.push(sent);
    return `["readable",${sent.id}]`;
  }

  #items(value: readonly unknown[], depth: number): string {
    let text = "";
    for (let i = 0; i < value.length; i += 1) {
      try {
        text += i === 0 ? this.#value(value[i], depth) : `,${this.#value(value[i], depth)}`;
      } catch (error) {
        throw inside(error, `[${i}]`);
      }
    }
    return text;
  }

  #plain(value: Record<string, unknown>, depth: number): string {
    let text = "{";
    for (const key in value) {
      if (!Object.hasOwn(value, key)) continue;
      try {
        const written = this.#value(value[key], depth);
        text += text.length === 1 ? `${quoted(key)}:${written}` : `,${quoted(key)}:${written}`;
      } catch (error) {
        throw inside(error, `.${key}`);
      }
    }
    return `${text}}`;
  }

  #function(value: object): string {
    const raw = rawOf(value);
    if (raw) return this.#stub(raw);
    assertNoForeignStub(value);
    return this.#byReference(new TargetRef(value));
  }

  #byReference(ref: TargetRef): string {
    if (this.#kind === "data") throw new Unsendable("a capability");
    return this.#export(ref);
  }

  #stub(raw: Raw): string {
    if (this.#kind === "data") throw new Unsendable("a capability");
    const ref = raw.ref.standsFor;
    const id = this.#session.numberOf(ref);
    if (raw.path.length > 0 && id !== undefined) return `["pipeline",${id},${JSON.stringify(raw.path)}]`;
    if (raw.path.length > 0) throw notThere();
    if (raw.isPromise && ref instanceof BrokenRef) throw ref.error;
    if (raw.isPromise && ref instanceof ResultRef) return this.#promise(ref, id);
    return this.#capability(ref, id);
  }

  #promise(ref: ResultRef, id: number | undefined): string {
    if (id !== undefined) return `["pipeline",${id}]`;
    if (!ref.isSettled) throw notThere();
    if (ref.error !== undefined) throw ref.error;
    return this.#value(ref.data, 1);
  }

  #capability(ref: Ref, id: number | undefined): string {
    return id === undefined ? this.#export(ref.dup()) : `["import",${id}]`;
  }

  #export(ref: Ref): string {
    const id = this.#session.give(ref);
    this.#given.push(id);
    return `["export",${id}]`;
  }
}

/** Room for the rest of the message around the value. Bytes. */
const envelopeBytes = 256;

function bytesOf(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) bytes += code > 0x7ff ? 2 : 1;
  }
  return bytes;
}

function notFinite(value: number): string {
  return Number.isNaN(value) ? '["nan"]' : value > 0 ? '["inf"]' : '["-inf"]';
}

/** Keys are few: those of the fields that interfaces have. */
const quotedKeys = new Map<string, string>();
const quotedKeysMax = 1_000;

function quoted(key: string): string {
  let text = quotedKeys.get(key);
  if (text === undefined) {
    text = JSON.stringify(key);
    if (quotedKeys.size < quotedKeysMax && key.length < 64) quotedKeys.set(key, text);
  }
  return text;
}

function notThere(): FlotillaError {
  const message = "A promise that another session, or this process, keeps cannot be passed: await it first";
  return new FlotillaError("unimplemented", message);
}

/** Above a limit of what the peer takes. */
class TooLarge extends Error {}

/** The error of a call whose arguments or answer could not be written. `of` names the call. */
export function asRefusal(error: unknown, what: "arguments" | "answer", of: string): unknown {
  if (error instanceof TooLarge) {
    const message = `The ${what} of ${of} would be ${error.message}`;
    return new FlotillaError("resource_exhausted", message, { reason: "message_too_large", retryable: false });
  }
  if (!(error instanceof Unsendable)) return error;
  // A fault of the method, not of its caller.
  return what === "answer" ? asFault(error, of) : unsendableArgument(error, `${of}: `);
}
