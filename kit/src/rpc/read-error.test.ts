import { describe, expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import { codedError, plainError } from "./read-error.ts";

const onWire = { code: "not_found", retryable: false };
const read = (fields: Record<string, unknown>) => codedError("No", fields);

describe("an error of ours that came over the wire", () => {
  test("is ours again, with the fields that may cross and no other", () => {
    const error = read({ ...onWire, reason: "no_such_order", requestId: "abc1", secret: "s3cret", cause: "why" });
    expect(error).toBeInstanceOf(FlotillaError);
    expect(error).toMatchObject({ code: "not_found", message: "No", reason: "no_such_order", requestId: "abc1" });
    expect(error).not.toHaveProperty("secret");
    expect(error?.cause).toBeUndefined();
  });

  test("keeps its word on whether to try again", () => {
    expect(read({ code: "aborted", retryable: false })?.retryable).toBe(false);
    expect(read({ code: "internal", retryable: true })?.retryable).toBe(true);
  });

  test("brings no text in its reason and its request id", () => {
    const fields = { ...onWire, reason: "<b>bold</b>", requestId: "x".repeat(101) };
    expect(read(fields)).toMatchObject({ reason: undefined, requestId: undefined });
  });

  test("brings at most 1,000 characters of message", () => {
    expect(codedError("x".repeat(5_000), onWire)?.message).toHaveLength(1_000);
  });

  test("brings the time to wait before another try", () => {
    expect([0, 1_500].map((retryAfterMs) => read({ ...onWire, retryAfterMs })?.retryAfterMs)).toEqual([0, 1_500]);
  });

  test.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "40", 40n, [40], null, { valueOf: () => 40 }])(
    "brings no time to wait that is %s",
    (retryAfterMs) => {
      expect(read({ ...onWire, retryAfterMs })?.retryAfterMs).toBeUndefined();
    },
  );
});

describe("an error is none of ours", () => {
  test.each<[string, Record<string, unknown>]>([
    ["without a code", { retryable: true }],
    ["with a code of a driver's", { code: "ECONNREFUSED", retryable: true }],
    ["with a code of ours and no word on whether to try again", { code: "internal" }],
    ["with a code that every object has", { code: "toString", retryable: false }],
    ["with a code that is no string", { code: ["not_found"], retryable: false }],
    ["with a word on whether to try again that is no boolean", { code: "not_found", retryable: "yes" }],
  ])("%s", (_, fields) => {
    expect(read(fields)).toBeUndefined();
  });
});

describe("an error of JavaScript's", () => {
  test.each(["Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"])(
    "is a %s again",
    (name) => {
      const error = plainError(name, "m", {});
      expect([error.constructor.name, error.name, error.message]).toEqual([name, name, "m"]);
    },
  );

  test("is an AggregateError again, with what it holds", () => {
    const inner = new Error("y");
    const error = plainError("AggregateError", "m", { errors: [inner] }) as AggregateError;
    expect(error).toBeInstanceOf(AggregateError);
    expect(error.errors).toEqual([inner]);
  });

  test.each(["Nonsense", "constructor", "__proto__", "Function"])("is a plain one when its class is %s", (name) => {
    expect(plainError(name, "m", {}).constructor).toBe(Error);
  });

  test("carries its fields, but has nobody's stack, and is not renamed by them", () => {
    const error = plainError("RangeError", "m", { at: 5, stack: "theirs", name: "x", message: "y" });
    expect(error).toMatchObject({ at: 5, name: "RangeError", message: "m" });
    expect(error.stack).not.toContain("theirs");
    expect(error.stack).not.toContain("\n    at ");
  });
});
