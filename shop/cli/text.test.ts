import { expect, test } from "vitest";
import { CliError } from "./cli-error.ts";
import { unpainted as paint } from "./paint.ts";
import { makeTerminal } from "./terminal.ts";
import { fields, jsonText, lines, say, shown, table } from "./text.ts";

test("what would command the terminal is shown, not obeyed", () => {
  expect(shown("a\x1b[31mred\x9b2J\u202eb\n\u2028")).toBe("a\\x1b[31mred\\x9b2J\\u202eb\\x0a\\u2028");
  expect(shown("Zoë 漢字 👍")).toBe("Zoë 漢字 👍");
});

test("a template prints its own words, and everything else as text", () => {
  const count = "\x1b[8m" as unknown as number;
  expect(String(say`a\n${"b\n"} ${count} ${say`c\n`}`)).toBe("a\nb\\x0a \\x1b[8m c\n");
  expect(String(lines(["a\n", say`b`]))).toBe("a\\x0a\nb");
});

test("JSON holds the same text and no byte that a terminal obeys", () => {
  const text = "\x1b\x7f\x9b\u202e\u2028";
  const json = jsonText({ text });
  expect(json).toMatch(/^[ -~]+$/);
  expect(JSON.parse(json)).toEqual({ text });
});

test("a table has aligned columns, and cells that are safe", () => {
  const rows = [
    { name: "a", total: "$1.00" },
    { name: "lo\x1bng", total: "$10.00" },
  ];
  const columns = [
    { title: "NAME", of: (it: (typeof rows)[0]) => it.name },
    { title: "TOTAL", align: "right", of: (it: (typeof rows)[0]) => it.total },
  ] as const;
  expect(String(table(rows, columns, { paint, titles: true }))).toBe(
    "NAME       TOTAL\na          $1.00\nlo\\x1bng  $10.00",
  );
  expect(String(table(rows, columns, { paint, titles: false }))).toBe("a          $1.00\nlo\\x1bng  $10.00");
});

test("fields that are not there are left out", () => {
  expect(String(fields({ id: "1", email: undefined, username: "b\x07" }, paint))).toBe("id        1\nusername  b\\x07");
});

function spoken(options: { isTTY?: boolean; color?: boolean; quiet?: boolean; json?: boolean }) {
  const said = { out: "", err: "" };
  const { isTTY = false, color = true, quiet = false, json = false } = options;
  const terminal = makeTerminal({
    out: { isTTY, write: (text) => (said.out += text) },
    err: { isTTY, write: (text) => (said.err += text) },
    ...{ json, quiet, verbose: true, color },
  });
  return { terminal, said };
}

test("colour is for terminals only, and for those that want it", () => {
  for (const [options, isColoured] of [
    [{ isTTY: true }, true],
    [{ isTTY: false }, false],
    [{ isTTY: true, color: false }, false],
  ] as const) {
    const { terminal, said } = spoken(options);
    terminal.error(new CliError("not_found", "No", { hint: "Look" }));
    terminal.result({}, () => terminal.paint("green", "ok"));
    expect(said.err.includes("\x1b["), JSON.stringify(options)).toBe(isColoured);
    expect(said.out.includes("\x1b["), JSON.stringify(options)).toBe(isColoured);
  }
});

test("progress is one line on a terminal, which goes away; elsewhere one line that stays; in JSON none", () => {
  const onTerminal = spoken({ isTTY: true, color: false });
  onTerminal.terminal.progress(say`Waiting (1 s)`);
  onTerminal.terminal.progress(say`Waiting (2 s)`);
  onTerminal.terminal.result({}, () => say`done`);
  expect(onTerminal.said.err).toBe("\r\x1b[KWaiting (1 s)\r\x1b[KWaiting (2 s)\r\x1b[K");
  const elsewhere = spoken({});
  elsewhere.terminal.progress(say`Waiting (1 s)`);
  elsewhere.terminal.progress(say`Waiting (2 s)`);
  expect(elsewhere.said.err).toBe("Waiting (1 s)\n");
  const inJson = spoken({ json: true });
  inJson.terminal.progress(say`Waiting (1 s)`);
  expect(inJson.said.err).toBe("");
});

test("errors and notes in JSON are lines of one key each", () => {
  const { terminal, said } = spoken({ json: true });
  terminal.detail(say`trying`);
  terminal.note(say`not for programs`);
  terminal.error(new CliError("unavailable", "Away\x9b", { reason: "not_sent", retryable: true, hint: "Wait" }));
  const lines = said.err
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toEqual([
    { note: "trying" },
    {
      error: {
        code: "unavailable",
        message: "Away\x9b",
        reason: "not_sent",
        retryable: true,
        hint: "Wait",
        exitCode: 6,
      },
    },
  ]);
});
