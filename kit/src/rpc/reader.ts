import type { FlotillaError } from "../base/errors.ts";
import type { Limits } from "../base/limits.ts";
import { exhausted, violation } from "../transport/refusals.ts";
import { FarWritable } from "./far-stream.ts";
import { givenIn, isCapability } from "./given.ts";
import { readLeaf } from "./leaf.ts";
import { notOffered } from "./not-offered.ts";
import { codedError, plainError } from "./read-error.ts";
import type { Path, Ref } from "./ref.ts";
import { type Raw, rawOf, stubOf } from "./stub.ts";
import type { Hole, Parent } from "./values.ts";
import type { WireStream } from "./wire-stream.ts";

type ReadLimits = Pick<
  Limits,
  "messageNodesMax" | "messageDepthMax" | "messageReferencesMax" | "errorDepthMax" | "pipelineDepthMax"
>;

/** The tables that messages being read refer to. */
export interface ReaderSession {
  readonly limits: ReadLimits;
  /** A capability of the peer's, held once more. @throws FlotillaError when it has given us too many. */
  import(id: number): Ref;
  /** Lets go, unseen, of one that the peer has given us, or of its pipe of that number. */
  refuse(id: number): void;
  /** A hold of the object behind a number of the peer's: a capability of ours, or the result of one of its calls. */
  entry(id: number): Ref;
  /** The stream that the peer writes to its pipe `id`, once; undefined when there is none, or none any more. */
  pipe(id: number): WireStream | undefined;
}

/** A value as it was read. */
export interface ReadValue {
  readonly value: unknown;
  /** The stubs in it. */
  readonly stubs: readonly Raw[];
  /** The results that belong into it and may not be there yet. */
  readonly holes: readonly Hole[];
  /** The streams in it. */
  readonly streams: readonly WireStream[];
  /** Whether it holds nothing but what JSON has. */
  readonly isPlain: boolean;
}

/** Releases the capabilities in a value that was read and goes nowhere. */
export function letGoOf({ stubs, holes, streams = none }: Held): void {
  for (const raw of stubs) raw.dispose();
  for (const { ref } of holes) ref.dispose();
  for (const stream of streams) stream[Symbol.dispose]();
}
type Held = Pick<ReadValue, "stubs" | "holes"> & Partial<Pick<ReadValue, "streams">>;

const none: readonly never[] = [];

/**
 * Reads the expressions of one message: checks and builds in the same walk, in place. A refusal doesn't
 * end the session, so the walk goes on after one and releases the capabilities in the rest.
 */
export class Reader {
  readonly #session: ReaderSession;
  #nodes = 0;
  #references = 0;
  #errorDepth = 0;
  #isPlain = true;
  #refusal: FlotillaError | undefined;
  #stubs: Raw[] | undefined;
  #holes: Hole[] | undefined;
  #streams: WireStream[] | undefined;
  /** Streams come as arguments, for which contracts may ask. */
  #takesStreams = false;

  constructor(session: ReaderSession) {
    this.#session = session;
  }

  /**
   * @param parent holds the expression, as `key`.
   * @throws FlotillaError a violation of the protocol, which ends the session; or the refusal of this message alone.
   */
  read(parent: Parent, key: string | number): ReadValue {
    this.#takesStreams = false;
    return this.#whole(() => this.#value(parent[key], parent, key, 0));
  }

  /** The arguments of a call. @throws as `read`. */
  readArguments(list: unknown[]): ReadValue {
    this.#takesStreams = true;
    return this.#whole(() => this.#list(list, 1));
  }

  #whole(build: () => unknown): ReadValue {
    this.#nodes = this.#references = this.#errorDepth = 0;
    this.#isPlain = true;
    this.#refusal = this.#stubs = this.#holes = this.#streams = undefined;
    try {
      const value = build();
      const { messageNodesMax } = this.#session.limits;
      if (this.#nodes > messageNodesMax) this.#refusal ??= tooManyValues(messageNodesMax);
      if (this.#refusal) throw this.#refusal;
      const streams = this.#streams ?? none;
      return { value, stubs: this.#stubs ?? none, holes: this.#holes ?? none, streams, isPlain: this.#isPlain };
    } catch (error) {
      this.#letGo();
      throw error;
    }
  }

  /** Reads a value that is dropped, and releases the capabilities in it. */
  #unseen<T>(read: () => T): T {
    const stubs = this.#stubs?.length ?? 0;
    const holes = this.#holes?.length ?? 0;
    const streams = this.#streams?.length ?? 0;
    const value = read();
    this.#letGo(stubs, holes, streams);
    return value;
  }

  #letGo(stubs = 0, holes = 0, streams = 0): void {
    letGoOf({
      stubs: this.#stubs?.splice(stubs) ?? none,
      holes: this.#holes?.splice(holes) ?? none,
      streams: this.#streams?.splice(streams) ?? none,
    });
  }

  #value(value: unknown, parent: Parent, key: string | number, depth: number): unknown {
    this.#nodes += 1;
    if (value === null || typeof value !== "object") return value;
    const { messageNodesMax, messageDepthMax } = this.#session.limits;
    if (this.#nodes > messageNodesMax) return this.#refuse(value, () => tooManyValues(messageNodesMax));
    if (depth >= messageDepthMax)
      return this.#refuse(value, () => exhausted(`a message nested deeper than ${messageDepthMax}`));
    if (!Array.isArray(value)) return this.#object(value as Parent, depth + 1);
    if (value.length === 1 && Array.isArray(value[0])) return this.#list(value[0] as unknown[], depth + 1);
    this.#isPlain = false;
    return this.#special(value, parent, key, depth);
  }

  #list(list: unknown[], depth: number): unknown[] {
    for (let i = 0; i < list.length; i += 1) list[i] = this.#value(list[i], list as unknown as Parent, i, depth);
    return list;
  }

  #object(object: Parent, depth: number): Parent {
    for (const key in object) {
      // SECURITY: a peer must not replace members that every object has, nor the way an object is written as JSON.
      // And a capability named `then` would be called with the resolvers of whoever awaits the object.
      if (key in Object.prototype || key === "toJSON" || (key === "then" && isCapability(object[key]))) {
        this.#unseen(() => this.#value(object[key], object, key, depth));
        delete object[key];
      } else object[key] = this.#value(object[key], object, key, depth);
    }
    return object;
  }

  #special(value: unknown[], parent: Parent, key: string | number, depth: number): unknown {
    switch (value[0]) {
      case "export":
        return this.#export(value);
      case "import":
      case "pipeline":
        return this.#reference(value, parent, key);
      case "error":
        return this.#error(value, depth + 1);
      case "readable":
      case "writable":
        return this.#stream(value, depth);
      case "promise":
      case "remap":
      case "blob":
      case "headers":
      case "request":
      case "response":
        return this.#refuse(value, () => notOffered(value[0] as string));
      default:
        return readLeaf(value);
    }
  }

  /** Notes why the message is refused, and lets go of the capabilities in `value`, of which nothing was read yet. */
  #refuse(value: unknown, why: () => FlotillaError): undefined {
    this.#refusal ??= why();
    for (const id of givenIn(value)) this.#session.refuse(id);
    return undefined;
  }

  #export(value: unknown[]): unknown {
    const [, id] = value;
    if (!Number.isSafeInteger(id) || (id as number) >= 0) throw violation("export takes a negative id");
    if (!this.#countReference()) return this.#refuse(value, () => this.#tooManyReferences());
    try {
      return this.#keep(this.#session.import(id as number));
    } catch (error) {
      return this.#refuse(value, () => error as FlotillaError);
    }
  }

  /** A stream is an argument itself: no contract asks for one within data. */
  #stream(value: unknown[], depth: number): unknown {
    const [tag, id] = value;
    const mayBe = this.#takesStreams && depth === 1 && value.length === 2 && Number.isSafeInteger(id);
    if (mayBe && !this.#countReference()) return this.#refuse(value, () => this.#tooManyReferences());
    try {
      const stream = mayBe && (tag === "readable" ? this.#session.pipe(id as number) : this.#writable(id as number));
      if (!stream) return this.#refuse(value, () => notOffered(tag as string));
      this.#streams ??= [];
      this.#streams.push(stream);
      return stream;
    } catch (error) {
      return this.#refuse(value, () => error as FlotillaError);
    }
  }

  #writable(id: number): WireStream | undefined {
    return id < 0 ? new FarWritable(this.#session.import(id)) : undefined;
  }

  #reference(value: unknown[], parent: Parent, key: string | number): unknown {
    const [tag, id] = value;
    if (!Number.isSafeInteger(id)) throw violation(`${String(tag)} takes an id`);
    if (value.length > 3) return this.#refuse(value, () => notOffered("a call within an argument"));
    const path = pathIn(value);
    if (!this.#countReference()) return this.#refuse(value, () => this.#tooManyReferences());
    const { pipelineDepthMax } = this.#session.limits;
    if (path.length > pipelineDepthMax) {
      return this.#refuse(value, () => exhausted(`a path of more than ${pipelineDepthMax} names`));
    }
    const entry = this.#session.entry(id as number);
    const ref = path.length > 0 ? entry.get(path) : entry;
    if (path.length > 0) entry.dispose();
    if (tag === "import") return this.#keep(ref);
    this.#holes ??= [];
    this.#holes.push({ parent, key, ref });
    return undefined;
  }

  #keep(ref: Ref): object {
    const stub = stubOf(ref);
    this.#stubs ??= [];
    this.#stubs.push(rawOf(stub)!);
    return stub;
  }

  /** Whether it is one of those that a message may have. */
  #countReference(): boolean {
    this.#references += 1;
    return this.#references <= this.#session.limits.messageReferencesMax;
  }

  #tooManyReferences(): FlotillaError {
    const { messageReferencesMax } = this.#session.limits;
    return exhausted(`a message that refers to more than ${messageReferencesMax} capabilities and results`);
  }

  /** One of ours by its fields; else one of JavaScript's, with what data it carries. */
  #error(value: unknown[], depth: number): unknown {
    const [, name, message, , fields] = value;
    if (typeof name !== "string" || typeof message !== "string") throw violation("bad error");
    if (fields !== undefined && (fields === null || typeof fields !== "object" || Array.isArray(fields))) {
      throw violation("bad error");
    }
    this.#errorDepth += 1;
    try {
      const { errorDepthMax } = this.#session.limits;
      if (this.#errorDepth > errorDepthMax)
        return this.#refuse(fields, () => exhausted(`an error of more than ${errorDepthMax} causes`));
      // No capability comes with an error.
      const read = fields === undefined ? {} : this.#unseen(() => this.#object(fields as Parent, depth));
      return codedError(message, read) ?? plainError(name, message, read);
    } finally {
      this.#errorDepth -= 1;
    }
  }
}

/** The way into what an expression refers to. @throws FlotillaError a violation of the protocol. */
export function pathIn(expression: readonly unknown[]): Path {
  const path = expression[2] ?? none;
  if (!Array.isArray(path)) throw violation(`${String(expression[0])} takes a path`);
  for (const part of path) if (typeof part !== "string" && typeof part !== "number") throw violation("bad path");
  return path;
}

export function tooManyValues(max: number): FlotillaError {
  return exhausted(`a message of more than ${max} values`);
}
