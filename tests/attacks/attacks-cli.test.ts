import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const entry = fileURLToPath(new URL("attacks.ts", import.meta.url));
const run = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [entry, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
};

test.each([
  [["--measure", "R17", "nosuch"], "No measured attack is called nosuch.", "R20  WebSocket pongs, 64 connections"],
  [["--without-defences", "nosuch"], "No defence has a row that begins with nosuch.", "R14"],
  [["--measure", "--rounds", "none"], "--rounds: expected a number above 0", ""],
  [["--nosuch"], "Unknown option '--nosuch'", "npm run attacks -- --measure"],
])("%j runs nothing, and is answered with what there is", (args, problem, known) => {
  const { status, stdout, stderr } = run(...args);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toContain(problem);
  expect(stderr).toContain(known);
  expect(stderr).not.toMatch(/^\s+at /m);
});

test("--help answers", () => {
  expect(run("--help")).toMatchObject({
    status: 0,
    stderr: "",
    stdout: expect.stringContaining("--measure [WORD...]"),
  });
});
