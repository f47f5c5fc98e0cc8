import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import { edgeLimits, type Limits } from "../base/limits.ts";
import { checkMessage, countGiven, makePeerBudget } from "./check.ts";
import { recordStockSession } from "./fixtures/recording.ts";

const limits = edgeLimits;
const check = (...messages: unknown[]) => {
  const budget = makePeerBudget();
  for (const message of messages) checkMessage(message, budget, limits);
  return budget;
};
const call = (...args: unknown[]) => ["push", ["pipeline", 0, ["f"], args]];
const many = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item);

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = [[value]];
  return value;
}

describe("what a stock session says is accepted", async () => {
  const recordings = await recordStockSession();

  test.each(Object.keys(recordings))("%s", (name) => {
    const { client = [], server = [] } = recordings[name] ?? {};
    expect(client.length + server.length).toBeGreaterThan(1);
    for (const side of [client, server]) expect(() => check(...side)).not.toThrow();
  });

  test("every operation and every expression that we accept was said", () => {
    const said = JSON.stringify(recordings);
    const operations = ["push", "pull", "resolve", "reject", "release", "abort"];
    const expressions = ["pipeline", "import", "export", "error", "bigint", "date", "bytes", "url", "undefined"];
    for (const word of [...operations, ...expressions, "inf", "-inf", "nan"]) expect(said).toContain(`["${word}"`);
  });
});

const violations: Record<string, unknown> = {
  "no array": { push: 1 },
  "a string": "push",
  null: null,
  "an empty array": [],
  "an unknown operation": ["merge", 1],
  "an operation that is no string": [["push"], 1],
  "a stream, which no contract takes": ["stream", ["pipeline", 0, ["f"], []]],
  "a pipe, 5 KB for 8 bytes": ["pipe"],
  "a map, which is a program of the sender's": ["push", ["remap", 0, ["list"], [], [["pipeline", 0, ["f"]]]]],
  "a push of nothing": ["push"],
  "a push of data": ["push", { a: 1 }],
  "a push of many calls": [
    "push",
    [
      [
        ["pipeline", 0, ["f"], []],
        ["pipeline", 0, ["f"], []],
      ],
    ],
  ],
  "a call without a path": ["push", ["pipeline", 0]],
  "a call on a string id": ["push", ["pipeline", "0", ["f"], []]],
  "a call on a fraction": ["push", ["pipeline", 0.5, ["f"], []]],
  "a call on an id beyond whole numbers": ["push", ["pipeline", 2 ** 53, ["f"], []]],
  "a call with a path that is a string": ["push", ["pipeline", 0, "f", []]],
  "a call with an object in its path": ["push", ["pipeline", 0, [{ toString: "f" }], []]],
  "a call whose arguments are no list": ["push", ["pipeline", 0, ["f"], { 0: 1 }]],
  "a call with something after its arguments": ["push", ["pipeline", 0, ["f"], [], 1]],
  "a pull of the main object": ["pull", 0],
  "a pull of a capability": ["pull", -1],
  "a pull of a fraction": ["pull", 1.5],
  "a pull of a string": ["pull", "1"],
  "a pull of nothing": ["pull"],
  "a release of the main object": ["release", 0, 1],
  "a release with a negative count": ["release", 1, -1000],
  "a release without a count": ["release", 1],
  "a release of a fraction": ["release", 1.5, 1],
  "an answer in the name of the main object": ["resolve", 0, ["import", 0]],
  "an answer in the name of a capability": ["resolve", -1, ["import", 0]],
  "a rejection of the main object": ["reject", 0, ["error", "Error", "x"]],
  "an answer to a fraction": ["resolve", 1.5, 1],
  "an answer that calls": ["resolve", 1, ["pipeline", 0, ["f"], []]],
  "an export of one of ours": call(["export", 1]),
  "an export of the main object": call(["export", 0]),
  "an export without an id": call(["export"]),
  "a readable": call(["readable", 1]),
  "a writable": call(["writable", -1]),
  "a blob": call(["blob", "text/plain", ["readable", 1]]),
  "a request": call(["request", "http://10.0.0.1/", {}]),
  "a response": call(["response", null, {}]),
  "a list of headers": call(["headers", []]),
  "an array that is not wrapped": call([1, 2]),
  "an unknown expression": call(["secret", 1]),
  "a call inside an argument": call(["pipeline", 0, ["g"], []]),
  "a call on a capability inside an argument": call(["import", -1, ["g"], []]),
  "a bigint that is no number": call(["bigint", "0x10"]),
  "a bigint of 20,000 digits": call(["bigint", "9".repeat(20_000)]),
  "a bigint that is a number": call(["bigint", 5]),
  "a date that is text": call(["date", "now"]),
  "bytes that are a list": call(["bytes", [1]]),
  "an address that is none": call(["url", "//"]),
  "an undefined with something in it": call(["undefined", 1]),
  "an error whose name is no string": call(["error", 1, "x"]),
  "an error whose properties are an expression": call(["error", "E", "x", null, ["bigint", "1"]]),
};

describe("a message that no peer of ours sends ends the session", () => {
  test.each(Object.keys(violations))("%s", (name) => {
    const refused = expect.objectContaining({ code: "invalid_argument", reason: "protocol_violation" });
    expect(() => check(violations[name])).toThrow(refused);
  });
});

describe("what would hold or run code later is refused wherever it hides", () => {
  const places: Record<string, (value: unknown) => unknown> = {
    "an argument": (value) => call(value),
    "an array": (value) => call([[1, value]]),
    "an object": (value) => call({ a: { b: value } }),
    "an array in an array": (value) => call([[[[value]]]]),
    "the properties of an error": (value) => call(["error", "E", "x", null, { cause: value }]),
    "an error's error's properties": (value) =>
      call(["error", "E", "x", null, { cause: ["error", "E", "x", "stack", { value }] }]),
    "the arguments of a call in an argument": (value) => call(["pipeline", 0, ["g"], [value]]),
    "a key that capnweb drops": (value) => call(JSON.parse(`{"__proto__":${JSON.stringify(value)}}`)),
    "an answer": (value) => ["resolve", 1, value],
    "a field of an answer": (value) => ["resolve", 1, { value }],
    "a rejection": (value) => ["reject", 1, ["error", "E", "x", null, { value }]],
    "an abort": (value) => ["abort", value],
    "the call itself": (value) => ["push", value],
    "a path": (value) => ["push", ["pipeline", 0, [value], []]],
  };
  const hidden: Record<string, unknown> = {
    promise: ["promise", -1],
    remap: ["remap", 0, [], [], []],
    readable: ["readable", 1],
  };
  const cases = Object.keys(places).flatMap((place) => Object.keys(hidden).map((what) => [what, place] as const));

  test.each(cases)("%s in %s", (what, place) => {
    expect(() => check(places[place]?.(hidden[what]))).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  });
});

describe("a message that costs too much ends the session, in time", () => {
  const exhausted = expect.objectContaining({ code: "resource_exhausted", reason: "protocol_limit" });

  test.each([
    ["values, in an array", call([many(limits.messageNodesMax, 1)])],
    ["values, in an object", call(Object.fromEntries(many(limits.messageNodesMax, 0).map((_, index) => [index, 1])))],
    ["arguments", call(...many(limits.messageNodesMax + 1, 1))],
    ["nesting", call(nested(limits.messageDepthMax))],
    ["nesting by far", call(nested(100_000))],
    ["references to results", call([many(limits.messageReferencesMax + 1, ["pipeline", 1])])],
    ["references to ours", call([many(limits.messageReferencesMax + 1, ["import", -1])])],
    [
      "capabilities",
      call([Array.from({ length: limits.messageReferencesMax + 1 }, (_, index) => ["export", -1 - index])]),
    ],
    ["names in a path", ["push", ["pipeline", 0, many(limits.pipelineDepthMax + 1, "a"), []]]],
  ])("too much %s", (_, message) => {
    expect(() => check(message)).toThrow(exhausted);
  });

  test.each([
    ["values", call([many(limits.messageNodesMax - 1, 1)])],
    ["nesting", call(nested(limits.messageDepthMax - 1))],
    ["references", call([many(limits.messageReferencesMax, ["pipeline", 1])])],
    ["names in a path", ["push", ["pipeline", 0, many(limits.pipelineDepthMax, "a"), []]]],
  ])("exactly as much %s as is allowed passes", (_, message) => {
    expect(() => check(message)).not.toThrow();
  });

  test("errors may have causes only so deep", () => {
    const error = (depth: number): unknown => [
      "error",
      "Error",
      "m",
      null,
      depth > 1 ? { cause: error(depth - 1) } : {},
    ];
    expect(() => check(call(error(limits.errorDepthMax)))).not.toThrow();
    expect(() => check(call(error(limits.errorDepthMax + 1)))).toThrow(/causes/);
    expect(() => check(["push", ["pipeline", 0, ["f"], [[[error(limits.errorDepthMax + 1)]]]]])).toThrow(/causes/);
  });

  test("a peer may hand us only so many capabilities at once, and as many again when they were released", () => {
    const budget = makePeerBudget();
    const hand = (id: number) => checkMessage(["resolve", 1, ["export", -id]], budget, limits);
    for (let id = 1; id <= limits.exportsMax; id += 1) hand(id);
    hand(1);
    expect(() => hand(limits.exportsMax + 1)).toThrow(/capabilities at once/);
    budget.exports.clear();
    expect(() => hand(limits.exportsMax + 2)).not.toThrow();
  });

  test("nesting of 100,000 is refused by its depth, not by the stack", () => {
    const message = call(JSON.parse(`${"[[".repeat(50_000)}1${"]]".repeat(50_000)}`));
    expect(() => check(message)).toThrow(FlotillaError);
  });
});

describe("over the life of a session", () => {
  const exhausted = expect.objectContaining({ code: "resource_exhausted" });
  const chain = (length: number) => Array.from({ length }, (_, id) => ["push", ["pipeline", id, ["f"], []]]);

  test("calls may be pipelined on each other only so far", () => {
    expect(() => check(...chain(limits.pipelineDepthMax))).not.toThrow();
    expect(() => check(...chain(limits.pipelineDepthMax + 1))).toThrow(exhausted);
  });

  test("a call on a result that was released counts from the start again", () => {
    const releases = Array.from({ length: limits.pipelineDepthMax }, (_, index) => ["release", index + 1, 1]);
    const next = ["push", ["pipeline", -1, ["f"], []]];
    expect(() => check(...chain(limits.pipelineDepthMax), ...releases, next)).not.toThrow();
  });

  test("so many calls may be under way, and as many again when they were released", () => {
    const full = many(limits.outstandingCallsMax, call());
    expect(() => check(...full, call())).toThrow(exhausted);
    expect(() => check(...full, ["release", 7, 1], call())).not.toThrow();
    expect(check(...full, ["release", 7, 1]).calls.size).toBe(limits.outstandingCallsMax - 1);
  });

  test("releasing what is none of these calls makes no room", () => {
    const full = many(limits.outstandingCallsMax, call());
    expect(() => check(...full, ["release", -1, 1], ["release", 999_999, 1], call())).toThrow(exhausted);
  });
});

test("so many capabilities of ours may be held, whatever became of the calls that gave them", () => {
  const budget = makePeerBudget();
  const tight: Limits = { ...limits, outstandingCallsMax: 3 };
  const give = (id: number) => countGiven(JSON.stringify(["resolve", 1, [["export", id], "text"]]), budget, tight);
  for (const id of [-1, -2, -3]) give(id);
  expect(() => give(-4)).toThrow(expect.objectContaining({ code: "resource_exhausted" }));
  for (const id of [-1, -2]) checkMessage(["release", id, 1], budget, tight);
  expect(() => give(-5)).not.toThrow();
  // Text that only looks like one.
  countGiven(JSON.stringify(["resolve", 1, '["export",-6]["promise",-7]']), budget, tight);
  expect(budget.given.size).toBe(3);
});

describe("whatever arrives", () => {
  const tight: Limits = { ...limits, messageNodesMax: 200, messageDepthMax: 8, outstandingCallsMax: 50 };
  const tags = fc.constantFrom(
    ...["push", "pull", "resolve", "reject", "release", "abort", "stream", "pipe", "pipeline", "import", "export"],
    ...["promise", "remap", "error", "bigint", "date", "bytes", "url", "undefined", "nan"],
  );
  const { message } = fc.letrec<{ value: unknown; expression: unknown; message: unknown }>((tie) => ({
    value: fc.oneof(fc.jsonValue(), fc.integer({ min: -5, max: 5 }), fc.double(), tie("expression")),
    expression: fc.tuple(tags, fc.array(tie("value"), { maxLength: 4 })).map(([tag, rest]) => [tag, ...rest]),
    message: fc.oneof({ weight: 4, arbitrary: tie("expression") }, fc.jsonValue()),
  }));

  test("the check passes it or throws a coded error, and nothing else", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 20 }), (messages) => {
        const budget = makePeerBudget();
        try {
          for (const one of messages) checkMessage(one, budget, tight);
        } catch (error) {
          expect(error).toBeInstanceOf(FlotillaError);
          expect(["invalid_argument", "resource_exhausted"]).toContain((error as FlotillaError).code);
        }
        expect(budget.calls.size).toBeLessThanOrEqual(tight.outstandingCallsMax);
      }),
      { numRuns: 2_000 },
    );
  });

  test("its time grows with the size of the message and no faster: a quadratic check would outlast this test by hours", () => {
    const wide: Limits = { ...limits, messageNodesMax: 1e9, messageDepthMax: 1e9 };
    expect(() => checkMessage(call(nested(1_000_000)), makePeerBudget(), wide)).not.toThrow();
  });
});
