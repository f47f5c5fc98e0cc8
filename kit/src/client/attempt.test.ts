import { describe, expect, test } from "vitest";
import { FlotillaError } from "../base/errors.ts";
import { type FailedAttempt, mayRepeat, moreTelling } from "./attempt.ts";

const away = new FlotillaError("unavailable", "away");
const heldBack = new FlotillaError("unavailable", "held back", { reason: "circuit_open" });
const refused = new FlotillaError("permission_denied", "refused");

/** The first of many, with time left, while somebody can be asked. */
const first: FailedAttempt = {
  ...{ number: 0, attemptsMax: 5, nextAtMs: 20, endsAtMs: 1_000, awayUntilMs: 10, hasOpen: true },
};

describe("a call that failed", () => {
  const cases: [string, unknown, Partial<FailedAttempt>, boolean][] = [
    ["is repeated while that may help", away, {}, true],
    ["is not when the service has answered", refused, {}, false],
    ["is not when the next attempt would come after its end", away, { endsAtMs: 20 }, false],
    ["is not above the number of attempts", away, { attemptsMax: 1 }, false],
    ["is not when nobody can be asked for longer than it waits", away, { hasOpen: false }, false],
    ["is while it waits for somebody who can be asked", away, { hasOpen: false, awayUntilMs: 30 }, true],
    ["is not when it was held back for longer than it waits", heldBack, {}, false],
    ["is when it was held back, while it waits", heldBack, { awayUntilMs: 30 }, true],
  ];
  test.each(cases)("%s", (_, error, change, expected) => {
    expect(mayRepeat(error, { ...first, ...change })).toBe(expected);
  });
});

test("what the service said last is told, and that nothing was sent only when it has said nothing", () => {
  expect(moreTelling(undefined, heldBack)).toBe(heldBack);
  expect(moreTelling(away, heldBack)).toBe(away);
  expect(moreTelling(away, refused)).toBe(refused);
});
