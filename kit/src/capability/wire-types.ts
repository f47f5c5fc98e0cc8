import { Type } from "typebox";

/** Marks a schema of a value that JSON has no word for, and that travels all the same. */
export const wireType: unique symbol = Symbol("flotilla.wireType");

/** The values that a marked schema takes. */
export type WireType = "bytes" | "instant" | "number";

/** A schema for a `Uint8Array` of at most `max` bytes: `arg("picture", bytes(64 * 1024))`. */
export function bytes(max: number) {
  return Type.Refine(
    marked<Uint8Array>("bytes"),
    (value) => isBytes(value) && value.byteLength <= max,
    () => `must be a Uint8Array of at most ${max} bytes`,
  );
}

/** A schema for a `Date` that is one: `arg("since", instant())`. */
export function instant() {
  return Type.Refine(
    marked<Date>("instant"),
    (value) => isInstant(value) && !Number.isNaN(value.getTime()),
    () => "must be a Date",
  );
}

/** A schema for any number, not a number and the infinite ones too; `Type.Number()` takes finite ones. */
export function anyNumber() {
  return Type.Refine(
    marked<number>("number"),
    (value) => typeof value === "number",
    () => "must be a number",
  );
}

/** Whether `value` is no plain data, and yet what a schema that is marked so may take. */
export function isOfWireType(value: object, type: unknown): boolean {
  return (type === "bytes" && isBytes(value)) || (type === "instant" && isInstant(value));
}

function marked<T>(type: WireType) {
  return Type.Unsafe<T>({ [wireType]: type });
}

/** Exactly one: what is made of a subclass is another thing. */
function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && Object.getPrototypeOf(value) === Uint8Array.prototype;
}

function isInstant(value: unknown): value is Date {
  return value instanceof Date;
}
