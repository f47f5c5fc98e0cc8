import { expect, test } from "vitest";
import { killAtSteps, killPoints } from "./failpoints.ts";

/** Around the commit, and around what is said of it; `npm run chaos -- --steps` takes all of them. */
const chosen = killPoints.filter(
  ({ at, text, when }) =>
    text === "COMMIT" || (text === "pending" && at === "out") || (text === "withdraw" && when === "after"),
);

test("killed at a step, before it or after, an order is there once when it is asked for again by its key", async () => {
  expect(killPoints).toHaveLength(25);
  expect(chosen).toHaveLength(7);
  const report = await killAtSteps(chosen);
  expect(report.violations).toEqual([]);
  // Who was not told that it is there was told that it may be; and some heard of it before the kill.
  expect(new Set(report.heard.map((it) => (it.startsWith("order") ? "order" : it)))).toEqual(
    new Set(["order", "unavailable"]),
  );
}, 60_000);
