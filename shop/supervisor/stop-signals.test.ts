import { expect, test } from "vitest";
import { makeStopHandler } from "./stop-signals.ts";

function recorder() {
  const seen: string[] = [];
  let nowMs = 1_000;
  const handle = makeStopHandler(
    { first: (signal) => seen.push(`first ${signal}`), again: (signal) => seen.push(`again ${signal}`) },
    () => nowMs,
  );
  return { seen, handle, pass: (ms: number) => (nowMs += ms) };
}

test("the copy of a Ctrl+C that npm sends on is no second Ctrl+C", () => {
  const { seen, handle, pass } = recorder();
  handle("SIGINT");
  pass(5);
  handle("SIGINT");
  expect(seen).toEqual(["first SIGINT"]);
});

test("a later signal is a second one, whichever it is", () => {
  const { seen, handle, pass } = recorder();
  handle("SIGINT");
  pass(400);
  handle("SIGTERM");
  expect(seen).toEqual(["first SIGINT", "again SIGTERM"]);
});
