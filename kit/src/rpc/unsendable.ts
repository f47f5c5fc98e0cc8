import { type ErrorCode, FlotillaError } from "../base/errors.ts";
import { isTarget } from "./brand.ts";
import { WireStream } from "./wire-stream.ts";

/** Something in a value that cannot travel; `at` says where. */
export class Unsendable extends Error {
  readonly what: string;
  readonly at: string;
  /** The code of a call that has it as an argument. */
  readonly code: ErrorCode;

  constructor(what: string, { at = "", code = "invalid_argument" }: { at?: string; code?: ErrorCode } = {}) {
    super(what);
    this.what = what;
    this.at = at;
    this.code = code;
  }
}

export function inside(error: unknown, key: string): unknown {
  if (!(error instanceof Unsendable)) return error;
  return new Unsendable(error.what, { at: key + error.at, code: error.code });
}

/** Classes that Cap'n Web carries and we don't. */
const notOffered = new Set(["Blob", "File", "Headers", "Request", "Response", "ReadableStream", "WritableStream"]);

/** Whether `value` is a stream of this process. */
export function isStream(value: object): value is ReadableStream | WritableStream {
  return value instanceof ReadableStream || value instanceof WritableStream;
}

export function unsendableObject(value: object): Unsendable {
  if (value instanceof WireStream) {
    const what = value.kind === "readable" ? "ReadableStream" : "WritableStream";
    return new Unsendable(`a ${what} of another session`, { code: "unimplemented" });
  }
  const name = value.constructor?.name ?? "object";
  if (notOffered.has(name)) return new Unsendable(`a ${name}, which is not carried here`, { code: "unimplemented" });
  return new Unsendable(`a ${name}, which is neither data nor extends RpcTarget of this package`);
}

/** The fault of a method that returned what cannot be sent; any other error as it is. */
export function asFault(error: unknown, of = "A method"): unknown {
  if (!(error instanceof Unsendable)) return error;
  return new TypeError(`${of} returned ${error.what} where data belongs (${error.at || "itself"})`);
}

/** The error of a call one of whose arguments cannot be sent. `of` names the call, where it is known. */
export function unsendableArgument({ at, what, code }: Unsendable, of = ""): FlotillaError {
  return new FlotillaError(code, `${of}argument ${at} cannot be sent: it is ${what}`);
}

const stubsElsewhere = new Set(["RpcStub", "RpcPromise"]);

/**
 * @param value a function that is no stub of ours: one of capnweb, or of a second copy of this package, would be taken for a
 *   function, and have no methods.
 * @throws Unsendable for a stub.
 */
export function assertNoForeignStub(value: object): void {
  const maker: unknown = Object.getPrototypeOf(value)?.constructor?.name;
  const isStub = isTarget(value) || stubsElsewhere.has(String(maker).replace(/\$\d+$/, ""));
  if (isStub) throw new Unsendable("a stub of another package, or of another copy of this one");
}
