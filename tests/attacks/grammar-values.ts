import fc, { type Arbitrary } from "fast-check";

/** Words that stand for values of the running system; written in at the moment of sending, so that cases stay the same. */
export const placeholders = {
  /** Of a person without and one with every right. */
  token: "$TOKEN",
  adminToken: "$ADMIN",
  /** The nonce of an introduction that the gateway has really deposited for orders. */
  gift: "$GIFT",
  /** The runs of the two homes. */
  users: "$USERS",
  orders: "$ORDERS",
  /** A nonce that only this case has. */
  nonce: "$NONCE",
} as const;

/** The same for what is too long to be read in a report. */
export const bulks = {
  $DIGITS: "7".repeat(16_384),
  $LONG: "x".repeat(300_000),
  $MANY: Array(21_000).fill("0").join(),
  $ELEMENTS: Array(1_000).fill("0").join(),
  $DEEP: "[".repeat(2_000) + "]".repeat(2_000),
  $NESTED: "[[".repeat(100) + "]]".repeat(100),
  $KEYS: `${'{"a":'.repeat(62)}1${"}".repeat(62)}`,
} as const;

/** Text that JSON cannot be made of by `JSON.stringify`: `"$RAW:…"` is replaced by what follows the colon. */
const raw = (text: string) => `$RAW:${text}`;

const hostileNumbers = ["-0", "1e308", "-1e308", "1e400", "-1e400", "9007199254740993", "0.1e-400", "1.5", "-1"].map(
  raw,
);
const smallIds = fc.integer({ min: -5, max: 40 });
const farIds = fc.constantFrom<unknown>(
  1e9,
  -1e9,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  0.5,
  "1",
  null,
  ...["-0", "1e400", "-9007199254740993"].map(raw),
);
/** Near what there is, mostly. */
export const id: Arbitrary<unknown> = fc.oneof({ weight: 9, arbitrary: smallIds }, { weight: 1, arbitrary: farIds });

export const hostileString: Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    "",
    "__proto__",
    "constructor",
    "prototype",
    "then",
    "catch",
    "dup",
    "map",
    "toString",
    "toJSON",
    "valueOf",
    "hasOwnProperty",
    "onRpcBroken",
    "Symbol(dispose)",
    "\ud800",
    "\udfff\ud800",
    "\0",
    "a\0b",
    "\r\n\u001b[31mFATAL",
    "\u202eexe",
    "'; DROP TABLE orders; --",
    "%s%n%p",
    "e\u0301".repeat(30),
    "\ufeff",
    "NaN",
    "[object Object]",
  ),
  fc.constantFrom(65, 101, 257, 1_025).map((length) => "x".repeat(length)),
  fc.string({ maxLength: 40, unit: "binary" }),
);

const hostileName = fc.oneof(hostileString, fc.string({ maxLength: 8 }));
export const path: Arbitrary<(string | number)[]> = fc.array(
  fc.oneof({ weight: 4, arbitrary: hostileName }, { weight: 1, arbitrary: fc.nat(3) }),
  {
    maxLength: 4,
  },
);

/** An object that may have any key of its own, `__proto__` too. */
function object(values: Arbitrary<unknown>): Arbitrary<object> {
  return fc.array(fc.tuple(hostileName, values), { maxLength: 4 }).map((entries) => Object.fromEntries(entries));
}

export const leaf: Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, 1, -1, 1_000_000, ...hostileNumbers),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  hostileString,
  fc.constantFrom(...Object.values(placeholders)),
);

const bytesTypes = ["Uint8Array", "ArrayBuffer", "DataView", "Float64Array", "BigInt64Array", "Bogus", "__proto__"];

/** Expressions that the guard lets through: data, errors, and capabilities of ours. */
const politeTags = (value: Arbitrary<unknown>): Arbitrary<unknown>[] => [
  fc.constantFrom(["undefined"], ["inf"], ["-inf"], ["nan"]),
  fc
    .oneof(fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }).map(String), fc.constant("$DIGITS"))
    .map((it) => ["bigint", it]),
  fc.oneof(fc.integer(), fc.constantFrom<unknown>(null, 8.64e15, 8.65e15, raw("1e400"))).map((it) => ["date", it]),
  fc.base64String({ maxLength: 40 }).map((it) => ["bytes", it]),
  fc.tuple(fc.constant("bytes"), fc.constantFrom("", "AAAA", "AAAAAAAAAAA", "***"), fc.constantFrom(...bytesTypes)),
  fc.constantFrom("http://a/", "file:///etc/passwd", "javascript:1", "data:,x").map((it) => ["url", it]),
  fc.tuple(fc.constant("export"), fc.integer({ min: -40, max: -1 })),
  fc.tuple(fc.constantFrom("pipeline", "import"), fc.constant(0), path),
  fc.tuple(
    fc.constant("error"),
    fc.constantFrom("Error", "TypeError", "AggregateError", "x"),
    hostileString,
    fc.constant(null),
    object(value),
  ),
];

const wildTags = (value: Arbitrary<unknown>): Arbitrary<unknown>[] => [
  fc.tuple(fc.constantFrom("pipeline", "import", "export", "promise", "readable", "writable"), id),
  fc.tuple(fc.constantFrom("pipeline", "import"), id, path),
  fc.tuple(fc.constantFrom("pipeline", "import"), id, path, fc.array(value, { maxLength: 3 })),
  fc.tuple(
    fc.constant("remap"),
    id,
    path,
    fc.array(fc.tuple(fc.constantFrom("import", "export"), id), { maxLength: 3 }),
    fc.array(value, { maxLength: 3 }),
  ),
  fc.tuple(fc.constant("headers"), fc.array(fc.array(leaf, { maxLength: 2 }), { maxLength: 2 })),
  fc.tuple(
    fc.constant("request"),
    hostileString,
    fc.record({ body: value, signal: value, method: hostileString }, { requiredKeys: [] }),
  ),
  fc.tuple(fc.constant("response"), value, fc.record({ status: leaf, webSocket: value }, { requiredKeys: [] })),
  fc.tuple(fc.constant("blob"), hostileString, value),
  fc.tuple(fc.constantFrom("bigint", "date", "bytes", "url", "error", "undefined", "inf", "nan", "-inf"), value, value),
  fc.tuple(fc.constant("error"), value, value, value, value),
  fc.array(leaf, { minLength: 1, maxLength: 3 }),
];

interface Values {
  readonly polite: unknown;
  readonly wild: unknown;
}

const { polite, wild } = fc.letrec<Values>((tie) => ({
  polite: fc.oneof(
    { maxDepth: 4, depthIdentifier: "polite" },
    leaf,
    fc.array(tie("polite"), { maxLength: 4 }).map((it) => [it]),
    object(tie("polite")),
    ...politeTags(tie("polite")),
  ),
  wild: fc.oneof(
    { maxDepth: 5, depthIdentifier: "wild" },
    leaf,
    fc.array(tie("wild"), { maxLength: 4 }).map((it) => [it]),
    object(tie("wild")),
    ...politeTags(tie("wild")),
    ...wildTags(tie("wild")).map((tag) =>
      fc.tuple(tag, fc.nat(9), tie("wild")).map(([it, how, other]) => bent(it, how, other)),
    ),
  ),
}));

/** Any value that a message may hold and the guard lets through. */
export const politeValue: Arbitrary<unknown> = polite;
/** Any value, of every tag that capnweb knows and some that it does not, with right and wrong parts. */
export const wildValue: Arbitrary<unknown> = wild;

/** Every other one has a wrong number of parts. */
function bent(expression: unknown, how: number, other: unknown): unknown {
  if (!Array.isArray(expression)) return expression;
  if (how === 0) return expression.slice(0, -1);
  if (how === 1) return [...expression, other];
  if (how === 2) return expression.with(how % expression.length, other);
  return expression;
}
