import fc, { type Arbitrary } from "fast-check";
import { id, leaf, path, politeValue, wildValue } from "./grammar-values.ts";

const operations = [
  "push",
  "call",
  "pull",
  "resolve",
  "reject",
  "release",
  "abort",
  "stream",
  "pipe",
  "hello",
  "",
  0,
  null,
];

/** Whether a message of that operation gets the next number of its sender's calls. */
export function takesNumber(operation: unknown): boolean {
  return operation === "push" || operation === "call" || operation === "stream" || operation === "pipe";
}

const wildMessage: Arbitrary<unknown> = fc.oneof(
  fc.tuple(fc.constantFrom("push", "call", "stream"), wildValue),
  fc.tuple(fc.constant("pull"), id),
  fc.tuple(fc.constantFrom("resolve", "reject"), id, wildValue),
  fc.tuple(fc.constant("release"), id, id),
  fc.tuple(fc.constant("release"), fc.array(id, { maxLength: 4 })),
  fc.tuple(fc.constant("abort"), wildValue),
  fc.constant(["pipe"]),
  fc
    .tuple(fc.constantFrom<unknown>(...operations), fc.array(wildValue, { maxLength: 4 }))
    .map(([operation, rest]) => [operation, ...rest]),
  wildValue,
);

/** A program that makes a list, and runs another for each of its elements. */
const nestedMap = (program: string) => `["remap",0,[],[["import",0]],[[[$ELEMENTS]],["remap",1,[],[],[${program}]]]]`;

/** No message at all, or one that only its size makes hostile. */
const hostileText = fc.oneof(
  fc.constantFrom(
    "",
    " ",
    "[",
    "{}",
    "null",
    '"push"',
    "[]",
    "\ufeff[]",
    "\0",
    "$DEEP",
    '["push",["pipeline",0,["x"],[$NESTED]]]',
    '["push",["pipeline",0,["x"],[$KEYS]]]',
    '["push",["pipeline",0,["x"],[[[$MANY]]]]]',
    '["push",["pipeline",0,["x"],["$LONG"]]]',
    `["push",${nestedMap("[[$ELEMENTS]]")}]`,
    `["push",${nestedMap(nestedMap(nestedMap("0")))}]`,
    `["pull",1,${'"x",'.repeat(500)}0]`,
  ),
  fc.string({ maxLength: 30, unit: "binary" }),
);

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

const politeContext = fc
  .record({ ms: fc.constantFrom(0, 1, 50, 9_950, 1e12), via: fc.constantFrom([], ["orders"], Array(16).fill("a")) })
  .map(({ ms, via }) => JSON.stringify({ tp: traceparent, ms, via }));
const wildContext = fc
  .record(
    { tp: fc.oneof(fc.constant(traceparent), leaf), ms: leaf, via: fc.oneof(fc.array(leaf), leaf) },
    { requiredKeys: [] },
  )
  .map((it) => JSON.stringify(it));

/** One thing a peer does. Calls are numbered when they are written down, so that a shorter session is still one. */
export type Step =
  /** `on`: 0 is the main object, else one of the calls before. */
  | {
      readonly does: "call";
      readonly on: number;
      readonly path: readonly unknown[];
      readonly args: readonly unknown[];
      readonly pull: boolean;
    }
  | { readonly does: "pull" | "release"; readonly of: number }
  | { readonly does: "say"; readonly message: unknown }
  | { readonly does: "write"; readonly text: string };

/** A method with arguments that may make it work. */
export interface Call {
  readonly method: string;
  readonly args: Arbitrary<unknown[]>;
}

/** Stands in an argument for the result of an earlier call. */
const earlier = fc.record({ $earlier: fc.nat(30), path: fc.constantFrom([], ["token"], ["userId"], ["x", 0]) });
const politeArgs = fc.array(fc.oneof({ weight: 5, arbitrary: politeValue }, { weight: 1, arbitrary: earlier }), {
  maxLength: 4,
});

function callStep(calls: readonly Call[]): Arbitrary<Step> {
  const names = calls.map(({ method }) => method);
  const nearMiss = fc
    .constantFrom(...names)
    .chain((name) =>
      fc.constantFrom(`${name} `, name.toUpperCase(), `_${name}`, `${name}\0`, name.slice(1), `#${name}`),
    );
  const right = fc
    .constantFrom(...calls)
    .chain(({ method, args }) => args.map((it) => ({ path: [method] as unknown[], args: it })));
  const strange = fc.record({
    path: fc.oneof(
      fc.constantFrom(...names).map((it) => [it]),
      nearMiss.map((it) => [it]),
      path,
    ),
    args: politeArgs,
  });
  return fc
    .tuple(
      fc.oneof({ weight: 2, arbitrary: right }, { weight: 1, arbitrary: strange }),
      fc.oneof(fc.constant(0), fc.nat(30)),
      fc.boolean(),
    )
    .map(([it, on, pull]) => ({ does: "call", on, ...it, pull }));
}

function politeStep(calls: readonly Call[]): Arbitrary<Step> {
  return fc.oneof(
    { weight: 12, arbitrary: callStep(calls) },
    { weight: 2, arbitrary: fc.record({ does: fc.constantFrom("pull" as const, "release" as const), of: fc.nat(30) }) },
    { weight: 1, arbitrary: politeContext.map((text): Step => ({ does: "write", text })) },
  );
}

const wildStep: Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: wildMessage.map((message): Step => ({ does: "say", message })) },
  { weight: 1, arbitrary: fc.oneof(hostileText, wildContext).map((text): Step => ({ does: "write", text })) },
);

/** A session's lines: obedient to the protocol, with one line that is not, or of nothing but such. */
export function sessionLines(calls: readonly Call[]): Arbitrary<string[]> {
  const obedient = fc.array(politeStep(calls), { minLength: 1, maxLength: 30 });
  const slipped = fc.tuple(obedient, wildStep, fc.nat(30)).map(([steps, step, at]) => steps.toSpliced(at, 0, step));
  const mad = fc.array(wildStep, { minLength: 1, maxLength: 12 });
  return fc
    .oneof({ weight: 4, arbitrary: obedient }, { weight: 3, arbitrary: slipped }, { weight: 1, arbitrary: mad })
    .map(writeDown);
}

/** Numbers the calls, and makes every reference one to a call that is there. */
function writeDown(steps: readonly Step[]): string[] {
  let calls = 0;
  const live: number[] = [];
  const pick = (index: number) => live[index % Math.max(live.length, 1)] ?? 0;
  return steps.flatMap((step) => {
    switch (step.does) {
      case "write":
        return [step.text];
      case "say":
        return [toText(step.message)];
      case "pull":
        return live.length > 0 ? [toText(["pull", pick(step.of)])] : [];
      case "release": {
        if (live.length === 0) return [];
        const [gone] = live.splice(step.of % live.length, 1);
        return [toText(["release", gone, 1])];
      }
      case "call": {
        const on = step.on === 0 ? 0 : pick(step.on);
        const args = step.args.map((value) => refer(value, pick));
        calls += 1;
        live.push(calls);
        const push = toText(["push", ["pipeline", on, step.path, args]]);
        return step.pull ? [push, toText(["pull", calls])] : [push];
      }
      default:
        throw step satisfies never;
    }
  });
}

function refer(value: unknown, pick: (index: number) => number): unknown {
  if (value === null || typeof value !== "object" || !Object.hasOwn(value, "$earlier")) return value;
  const { $earlier, path: rest } = value as { $earlier: number; path: unknown[] };
  return ["pipeline", pick($earlier), rest];
}

function toText(message: unknown): string {
  return (JSON.stringify(message) ?? "").replace(/"\$RAW:([^"]*)"/g, "$1");
}
