import { describe, expect, test } from "vitest";
import { errorCodes, FlotillaError, hasCode, isErrorCode, reasonOf, toFlotillaError } from "./errors.ts";

/** A foreign error with the fields of ours. */
const alike = (fields: object, message = "No") => Object.assign(new Error(message), fields);
const ourFields = { code: "not_found", retryable: false };

describe("an error of ours", () => {
  test("says by its code whether to try again, unless it is told", () => {
    const retryable = Object.keys(errorCodes).filter(
      (code) => isErrorCode(code) && new FlotillaError(code, "No").retryable,
    );
    expect(retryable).toEqual(["resource_exhausted", "unavailable", "aborted"]);
    expect(new FlotillaError("internal", "No", { retryable: true }).retryable).toBe(true);
  });

  test("has the code as its name, because clients in other languages look there", () => {
    expect(new FlotillaError("not_found", "No").name).toBe("not_found");
  });

  test("carries at most 1,000 characters of message", () => {
    expect(new FlotillaError("internal", "x".repeat(5_000_000)).message).toHaveLength(1_000);
  });

  test("gets the id of the request in which it surfaced, once", () => {
    const cause = new Error("why");
    const error = new FlotillaError("aborted", "No", { reason: "lost", retryable: false, cause });
    const first = toFlotillaError(error, "first");
    expect(first).toMatchObject({ code: "aborted", reason: "lost", retryable: false, requestId: "first", cause });
    expect(toFlotillaError(first, "second")).toBe(first);
    expect(toFlotillaError(error)).toBe(error);
  });
});

describe("the time to wait before another try", () => {
  test("stays when the error gets its request id", () => {
    const error = new FlotillaError("resource_exhausted", "No", { retryAfterMs: 40 });
    expect(toFlotillaError(error, "mine")).toMatchObject({ retryAfterMs: 40, requestId: "mine" });
  });

  test.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "40", 40n, [40], null, { valueOf: () => 40 }])(
    "is left out when it is %s",
    (value) => {
      const error = new FlotillaError("resource_exhausted", "No", { retryAfterMs: value as number });
      expect(error.retryAfterMs).toBeUndefined();
    },
  );
});

describe("what only looks like an error of ours is internal, and shows nothing of itself", () => {
  const throwing = {
    get: () => {
      throw new Error("gotcha");
    },
    configurable: true,
  };
  const hostile: Record<string, unknown> = {
    "a string": "secret",
    undefined: undefined,
    null: null,
    "an error with our fields": alike(ourFields, "secret"),
    "an object with our fields": { ...ourFields, message: "secret" },
    "an error of a driver": alike({ code: "ECONNREFUSED", address: "10.1.2.3" }, "secret"),
    "an error whose code is ours by chance": alike({ code: "internal" }, "secret"),
    "a code that every object has": alike({ code: "toString", retryable: false }, "secret"),
    "a code that is no string": alike({ code: ["not_found"], retryable: false }, "secret"),
    "a retryable that is no boolean": alike({ code: "not_found", retryable: "yes" }, "secret"),
    "a message that is no string": Object.assign(alike(ourFields), { message: { length: 1, slice: () => "secret" } }),
    "a getter that throws": Object.defineProperty(alike({ retryable: false }), "code", throwing),
    "a message that throws": Object.defineProperty(alike(ourFields), "message", throwing),
    "a proxy that throws at everything": new Proxy(new Error("secret"), {
      get() {
        throw new Error("gotcha");
      },
      has() {
        throw new Error("gotcha");
      },
      getPrototypeOf() {
        throw new Error("gotcha");
      },
    }),
    "a function": () => "secret",
    "a symbol": Symbol("secret"),
  };

  test.each(Object.keys(hostile))("%s", (name) => {
    const error = toFlotillaError(hostile[name], "request");
    expect([error.code, error.message, error.reason, error.requestId, error.retryable]).toEqual([
      "internal",
      "Internal error",
      undefined,
      "request",
      false,
    ]);
    expect(error.cause).toBe(hostile[name]);
  });
});

test("a code is known on either side of the wire", () => {
  expect(hasCode(new FlotillaError("aborted", "No"), "aborted")).toBe(true);
  expect(hasCode(alike(ourFields), "not_found")).toBe(true);
  expect(hasCode({ code: "not_found" }, "not_found")).toBe(false);
  expect(hasCode(undefined, "internal")).toBe(false);
  expect(isErrorCode("constructor")).toBe(false);
});

test("a reason is a string or absent", () => {
  expect(reasonOf(alike({ reason: "revoked" }))).toBe("revoked");
  expect(reasonOf(alike({ reason: { toString: () => "revoked" } }))).toBeUndefined();
  expect(reasonOf("revoked")).toBeUndefined();
});

test("a refusal for too much collects no stack, because a flood makes many; other errors do", () => {
  expect(new FlotillaError("resource_exhausted", "Too many").stack).not.toContain("\n    at ");
  expect(new FlotillaError("internal", "A bug").stack).toContain("\n    at ");
});
