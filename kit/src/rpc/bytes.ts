import { fromBase64, toBase64 } from "../base/platform.ts";
import { violation } from "../transport/refusals.ts";

type View = new (buffer: ArrayBuffer) => object;

/** The containers that Cap'n Web names; the one that it does not name is Uint8Array. */
const views: Readonly<Record<string, View>> = {
  ...{ DataView, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array },
  ...{ BigInt64Array, BigUint64Array, Float32Array, Float64Array },
};

/** Their elements are little-endian on the wire, as on every machine that JavaScript runs on today. */
export function writeBytes(value: object): string | undefined {
  if (value instanceof Uint8Array) return `["bytes","${toBase64(value)}"]`;
  if (value instanceof ArrayBuffer) return `["bytes","${toBase64(new Uint8Array(value))}","ArrayBuffer"]`;
  if (!ArrayBuffer.isView(value)) return undefined;
  const { name } = value.constructor;
  if (!Object.hasOwn(views, name)) return undefined;
  return `["bytes","${toBase64(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))}","${name}"]`;
}

/** @throws FlotillaError a violation of the protocol. */
export function readBytes([, text, container]: readonly unknown[]): object {
  const bytes = typeof text === "string" ? fromBase64(text) : undefined;
  if (!bytes) throw violation("bad bytes");
  if (container === undefined) return bytes;
  const buffer = bytes.buffer as ArrayBuffer;
  if (container === "ArrayBuffer") return buffer;
  if (typeof container !== "string" || !Object.hasOwn(views, container)) throw violation("bad bytes");
  try {
    return new views[container]!(buffer);
  } catch {
    throw violation("bad bytes");
  }
}
