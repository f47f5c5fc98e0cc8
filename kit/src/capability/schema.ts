import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { FlotillaError } from "../base/errors.ts";
import { isOfWireType, wireType } from "./wire-types.ts";

/** Shapes that are data. Of typebox's others (`function`, `promise`, …) a stub would be one. */
const dataTypes: ReadonlySet<unknown> = new Set([
  ...["string", "number", "integer", "boolean", "null", "object", "array", "bigint", "undefined"],
]);

/**
 * A check of values that came from a peer against `schema`: `invalid_argument`, naming the field, for whatever does not
 * fit; `isPlain` says that it is known to hold nothing but what JSON has. Its result is data: plain objects, arrays,
 * primitives, bytes and dates where the schema says so, and no key that it does not name.
 *
 * @throws TypeError when `schema` is none that keeps this promise.
 */
export function makeDataCheck(name: string, schema: TSchema): (value: unknown, isPlain: boolean) => void {
  assertStrict(name, schema);
  const validator = Compile(schema);
  return (value, isPlain) => {
    if (!validator.Check(value)) throw malformed(name, validator.Errors(value));
    const path = isPlain ? undefined : findExotic(value, [schema as Part]);
    if (path !== undefined) throw invalid(`${fieldName(name, path)} must be plain data`);
  };
}

interface SchemaError {
  readonly keyword: string;
  readonly schemaPath: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

function malformed(name: string, errors: readonly SchemaError[]): FlotillaError {
  return invalid(errors.length === 0 ? `${name} is malformed` : complaint(name, errors));
}

/** Says why `errors` refuse a value: of a union, which forms it accepts. */
function complaint(name: string, errors: readonly SchemaError[]): string {
  const [first] = errors;
  // The outermost comes last: what is wrong within one of its branches is wrong with that branch alone.
  const union = errors.findLast(({ keyword, schemaPath }) => keyword === "anyOf" && isWithin(first!, schemaPath));
  if (!union) return complaintOf(name, telling(errors));
  const branches = branchesOf(errors, union.schemaPath);
  const forms = branches.map((branch) => formIn(telling(branch), union.instancePath));
  const field = fieldName(name, union.instancePath);
  if (forms.every((form) => form !== undefined)) return `${field} must be ${[...new Set(forms)].join(" or ")}`;
  const whys = branches.map((branch) => complaint(name, branch));
  return `${field} has none of the forms allowed: ${[...new Set(whys)].join("; or ")}`;
}

/** A constant that the value is not says more than a type, or a field that is missing. */
function telling(errors: readonly SchemaError[]): SchemaError {
  return errors.find(({ params }) => "allowedValue" in params) ?? errors[0]!;
}

function isWithin(error: SchemaError, unionPath: string): boolean {
  return error.schemaPath.startsWith(`${unionPath}/anyOf/`);
}

function branchesOf(errors: readonly SchemaError[], unionPath: string): SchemaError[][] {
  const inside = errors.filter((error) => isWithin(error, unionPath));
  const nameOf = ({ schemaPath }: SchemaError) => schemaPath.slice(`${unionPath}/anyOf/`.length).split("/", 1)[0]!;
  return [...Map.groupBy(inside, nameOf).values()];
}

/** Says of one field why it is refused. */
function complaintOf(name: string, { instancePath: path, keyword, params, message }: SchemaError): string {
  if ("requiredProperties" in params) {
    const [missing] = params.requiredProperties as string[];
    return `${fieldName(name, `${path}/${missing}`)} is missing`;
  }
  if (keyword === "boolean") return `${fieldName(name, path)} is not a field that is known here`;
  if ("allowedValue" in params) return `${fieldName(name, path)} must be ${JSON.stringify(params.allowedValue)}`;
  return `${fieldName(name, path)} ${message}`;
}

/** The form that a branch asks for, if it asks it of the value of the union itself. */
function formIn({ params, instancePath }: SchemaError, unionPath: string): string | undefined {
  if (instancePath !== unionPath) return undefined;
  if ("allowedValue" in params) return JSON.stringify(params.allowedValue);
  return "type" in params ? String(params.type) : undefined;
}

function invalid(message: string): FlotillaError {
  return new FlotillaError("invalid_argument", message);
}

/** `items` and `/0/quantity` become `items[0].quantity`. */
function fieldName(name: string, instancePath: string): string {
  const fieldCharsMax = 100;
  const path = instancePath.replace(/\/(\d+)/g, "[$1]").replaceAll("/", ".");
  return `${name}${path}`.slice(0, fieldCharsMax);
}

/**
 * SECURITY: to a schema an `Error` or a `Date` is an object like any other, and passes where every field is optional.
 * Nothing is asked of what is not plain, so a stub in it hears nothing.
 *
 * @param parts what may say what `value` is.
 * @returns where in `value` something is that is not plain, nor of a type that its schema names, as a JSON pointer;
 *   undefined when all is.
 */
function findExotic(value: unknown, parts: readonly Part[]): string | undefined {
  if (typeof value === "function") return "";
  if (value === null || typeof value !== "object") return undefined;
  const forms = parts.flatMap(formsOf);
  if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype) {
    return forms.some((form) => isOfWireType(value, form[wireType])) ? undefined : "";
  }
  for (const key of Object.keys(value)) {
    const found = findExotic(
      (value as Record<string, unknown>)[key],
      forms.flatMap((form) => partsAt(form, key)),
    );
    if (found !== undefined) return `/${key}${found}`;
  }
  return undefined;
}

/** The part itself, and those that it is made of. */
function formsOf(part: Part): Part[] {
  return [part, ...["anyOf", "oneOf", "allOf"].flatMap((key) => ((part[key] ?? []) as Part[]).flatMap(formsOf))];
}

/** The parts that stand in `part` for the value under `key`. */
function partsAt(part: Part, key: string): Part[] {
  const { properties, patternProperties, prefixItems, items, additionalProperties, additionalItems } = part;
  const named = [properties, prefixItems, Array.isArray(items) ? items : undefined].map(
    (list) => list && Object.hasOwn(list, key) && (list as Record<string, unknown>)[key],
  );
  const others = [...Object.values(patternProperties ?? {}), items, additionalProperties, additionalItems];
  return [...named, ...others].filter((it): it is Part => typeof it === "object" && it !== null && !Array.isArray(it));
}

/** A part of a schema: JSON Schema's keywords, of which only some hold further schemas. */
type Part = Readonly<Record<string, unknown>> & { readonly [wireType]?: unknown };

const maps = ["properties", "patternProperties"] as const;
const lists = ["anyOf", "oneOf", "allOf", "prefixItems"] as const;

/** SECURITY: an object schema that lets unknown keys through is mass assignment waiting to happen. */
function assertStrict(name: string, schema: unknown): void {
  if (schema === null || typeof schema !== "object") throw new TypeError(`${name}: a schema is an object`);
  const part = schema as Part;
  if (!isConcrete(part)) throw new TypeError(`${name}: a schema that takes anything is no check`);
  if (part.type === "object" || "properties" in part || "patternProperties" in part) {
    const extra = part.additionalProperties;
    if (extra !== false && (extra === null || typeof extra !== "object")) {
      throw new TypeError(`${name}: object schemas say additionalProperties: false (or what the extra ones must be)`);
    }
  }
  for (const child of subschemas(part)) assertStrict(name, child);
}

/** Whether it says what a value is, not only what it is not. */
function isConcrete(part: Part): boolean {
  if ("const" in part || "enum" in part) return true;
  if (part.type === "array") return "items" in part || "prefixItems" in part;
  return dataTypes.has(part.type) || wireType in part || lists.some((key) => key in part) || isNever(part);
}

/** typebox's `Never`: it takes nothing at all. */
function isNever({ not }: Part): boolean {
  return not !== null && typeof not === "object" && Object.keys(not).length === 0;
}

function* subschemas(part: Part): Generator<unknown> {
  for (const key of maps) if (key in part) yield* Object.values(part[key] as object);
  for (const key of lists) if (key in part) yield* part[key] as unknown[];
  if ("items" in part) yield* Array.isArray(part.items) ? part.items : [part.items];
  for (const key of ["additionalProperties", "additionalItems"]) {
    if (typeof part[key] === "object") yield part[key];
  }
}
