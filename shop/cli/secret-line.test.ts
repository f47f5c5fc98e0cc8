import { expect, test } from "vitest";
import { emptyLine, typed } from "./secret-line.ts";

const after = (...keys: string[]) => keys.reduce(typed, emptyLine);

test("what is typed is the line, up to Enter", () => {
  expect(after("pass", "word\rmore")).toEqual({ text: "password", state: "done" });
  expect(after("päss 漢👍\n")).toEqual({ text: "päss 漢👍", state: "done" });
});

test("backspace takes one character, Ctrl+U all", () => {
  expect(after("ab👍\x7f\x7f", "c\r").text).toBe("ac");
  expect(after("abc\x15d\r").text).toBe("d");
});

test("arrow keys and other commands of the terminal are no part of a password", () => {
  expect(after("a\x1b[Db\x1bOPc\x01\t\r").text).toBe("abc");
});

test("Ctrl+C interrupts and forgets, Ctrl+D ends", () => {
  expect(after("secret\x03")).toEqual({ text: "", state: "interrupted" });
  expect(after("\x04").state).toBe("ended");
  expect(after("abc\x04")).toEqual({ text: "abc", state: "done" });
});

test("a line has an end, however much is typed", () => {
  expect(after("x".repeat(10_000)).text).toHaveLength(4_096);
});
