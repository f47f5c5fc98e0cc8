import { FlotillaError } from "@flotilla/kit";
import { describe, expect, test } from "vitest";
import { patiently } from "./gateway-clients.ts";

/** A call that is refused for `reason` the first `times` times. */
function makeCall(reason: string, times: number) {
  let made = 0;
  return {
    made: () => made,
    call: async () => {
      made += 1;
      if (made <= times) throw new FlotillaError("resource_exhausted", "No", { reason, retryAfterMs: 0 });
      return "answered";
    },
  };
}

describe("patience", () => {
  test.each(["overloaded", "destination_busy", "passwords_busy"])("asks again what is shed: %s", async (reason) => {
    const { call, made } = makeCall(reason, 3);
    expect(await patiently(call)).toBe("answered");
    expect(made()).toBe(4);
  });

  test("ends after forty refusals", async () => {
    const { call, made } = makeCall("overloaded", Number.POSITIVE_INFINITY);
    await expect(patiently(call)).rejects.toMatchObject({ reason: "overloaded" });
    expect(made()).toBe(40);
  });

  test.each(["rate_limited", "session_limit", "too_many_calls"])("hides no other refusal: %s", async (reason) => {
    const { call, made } = makeCall(reason, 1);
    await expect(patiently(call)).rejects.toMatchObject({ reason });
    expect(made()).toBe(1);
  });
});
