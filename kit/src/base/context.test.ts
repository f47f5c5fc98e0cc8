import { describe, expect, test } from "vitest";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { currentContext, deriveContext, outsideContext, withContext } from "./context.ts";
import { isServiceName, isTraceId, newInstanceId, newNonce, newSpanId, newTraceId } from "./ids.ts";
import { callersMax } from "./limits.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";

describe("a context", () => {
  test("has a fresh trace and ten seconds when nobody asks for anything", () => {
    const clock = makeVirtualClock();
    const one = deriveContext({}, clock);
    expect(one).toMatchObject({ deadlineAtMs: 10_000, callers: [] });
    expect(isTraceId(one.traceId)).toBe(true);
    expect(deriveContext({}, clock).traceId).not.toBe(one.traceId);
  });

  test.each([
    [5, 5],
    [60_000, 30_000],
    [Number.POSITIVE_INFINITY, 30_000],
    [0, 0],
    [-5, 0],
  ])("of %d ms ends after %d", (timeoutMs, deadlineAtMs) => {
    expect(deriveContext({ timeoutMs }, makeVirtualClock()).deadlineAtMs).toBe(deadlineAtMs);
  });

  test("keeps the trace and the callers of the one around it, and never outlives it", () => {
    const clock = makeVirtualClock();
    withContext(
      { timeoutMs: 100, traceId, callers: ["gateway"] },
      () => {
        const inner = deriveContext({ timeoutMs: 5_000 }, clock);
        expect(inner).toMatchObject({ deadlineAtMs: 100, traceId, callers: ["gateway"] });
        expect(inner.spanId).not.toBe(currentContext()?.spanId);
        expect(deriveContext({ timeoutMs: 50 }, clock).deadlineAtMs).toBe(50);
      },
      clock,
    );
  });

  test("names no more callers than a context line may have", () => {
    const callers = Array.from({ length: callersMax + 4 }, (_, index) => `service-${index}`);
    expect(deriveContext({ callers }, makeVirtualClock()).callers).toHaveLength(callersMax);
  });

  test.each([
    ["a trace id that is none", { traceId: "mine" }],
    ["a trace id of zeros", { traceId: "0".repeat(32) }],
    ["a time that is no number", { timeoutMs: Number.NaN }],
    ["a caller that is no service's name", { callers: ["Mallory <m@x>"] }],
  ])("with %s is refused here, because the peer would end the session for it", (_, request) => {
    expect(() => withContext(request, () => "ran")).toThrow(TypeError);
  });
});

describe("the running context", () => {
  test("is the one of the call, across what it waits for, and of no other call", async () => {
    const ids = await Promise.all(
      [1, 2, 3].map((index) =>
        withContext({ traceId: `${index}`.padStart(32, "a") }, async () => {
          await new Promise((resolve) => setImmediate(resolve));
          return currentContext()?.traceId;
        }),
      ),
    );
    expect(ids).toEqual([1, 2, 3].map((index) => `${index}`.padStart(32, "a")));
    expect(currentContext()).toBeUndefined();
  });

  test("is left behind by what outlives the call", () => {
    withContext({}, () => {
      expect(outsideContext(currentContext)).toBeUndefined();
      expect(currentContext()).toBeDefined();
    });
  });
});

test("ids have the lengths that the wire asks for, and never come twice", () => {
  const makers = { 24: newNonce, 16: newInstanceId, 32: newTraceId };
  for (const [length, make] of Object.entries(makers)) {
    const made = Array.from({ length: 1_000 }, make);
    expect(new Set(made).size).toBe(1_000);
    expect(made.every((id) => id.length === Number(length) && /^[\w-]+$/.test(id))).toBe(true);
  }
  expect(newSpanId()).toMatch(/^[0-9a-f]{16}$/);
});

test.each([
  ["users", true],
  ["order-service2", true],
  ["", false],
  ["2fast", false],
  ["Users", false],
  ["a".repeat(65), false],
  [7, false],
])("%j as the name of a service: %s", (name, expected) => {
  expect(isServiceName(name)).toBe(expected);
});
