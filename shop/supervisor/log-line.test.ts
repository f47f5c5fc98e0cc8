import { expect, test } from "vitest";
import { prettyLogLine, visible } from "./log-line.ts";

test("a JSON log line becomes time, level, message and the other fields", () => {
  const line = JSON.stringify({
    level: 40,
    time: Date.now(),
    pid: 1,
    service: "orders",
    msg: "slow",
    ms: 12,
    method: "list",
  });
  expect(prettyLogLine(line)).toMatch(/^\d\d:\d\d:\d\d warn slow ms=12 method=list$/);
});

test("what is no JSON object stays as it is", () => {
  for (const line of ["{broken", "plain", "[1]"]) expect(prettyLogLine(line)).toBe(line);
});

test("control characters in a log do not reach the terminal", () => {
  const line = JSON.stringify({ level: 30, msg: "login of \u001b[2Jbob\r\nfake" });
  expect(visible(prettyLogLine(line))).toBe("info login of \\x1b[2Jbob\\x0d\\x0afake");
  expect(visible("zwölf\t✓")).toBe("zwölf\t✓");
});
