import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CliError } from "./cli-error.ts";
import { readItems } from "./items.ts";
import { makeProfiles } from "./profiles.ts";
import { askSecret, type Input, makePrompt } from "./prompt.ts";
import { makeLines } from "./repl/lines.ts";
import { runCli } from "./run-cli.ts";
import { say } from "./text.ts";

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "flotilla-text-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const bom = "\uFEFF";
const latin1 = (text: string) => Buffer.from(text, "latin1");
const output = { write: () => undefined };
const signal = new AbortController().signal;
const promptOf = (...chunks: readonly (Buffer | string)[]) => {
  const input = Readable.from(chunks.map((chunk) => Buffer.from(chunk))) as Input;
  return makePrompt({ input, output, isAllowed: true, isAgreed: false, signal });
};
const notUtf8 = (what: string) =>
  expect.objectContaining({ code: "invalid_argument", message: `${what} is not valid UTF-8` });

describe("a password on standard input", () => {
  test.each([
    ["a byte order mark, as some shells write it", `${bom}pässword\n`, "pässword"],
    ["the end of a line of Windows", "pässword\r\n", "pässword"],
    ["both, and no more", `${bom}pässword${bom}\r\n`, `pässword${bom}`],
  ])("is without %s", async (_, text, password) => {
    expect(await promptOf(text).linesOfInput(1)).toEqual([password]);
  });

  test("may be cut anywhere on its way, and is refused where it is not UTF-8", async () => {
    const bytes = Buffer.from("pässword\n");
    expect(await promptOf(bytes.subarray(0, 2), bytes.subarray(2)).linesOfInput(1)).toEqual(["pässword"]);
    await expect(promptOf(latin1("pässword\n")).linesOfInput(1)).rejects.toThrow(notUtf8("Standard input"));
    await expect(promptOf(bytes.subarray(0, 2)).linesOfInput(1)).rejects.toThrow(notUtf8("Standard input"));
  });
});

describe("a password at a terminal", () => {
  const typedAt = async (...keys: readonly Buffer[]) => {
    const input = new Readable({ read: () => undefined }) as Readable & Input;
    const answer = askSecret(say`Password: `, { input, output, signal });
    for (const key of keys) input.push(key);
    return await answer;
  };

  test("may come byte by byte, and is refused where the terminal does not send UTF-8", async () => {
    const bytes = [...Buffer.from("pä\r")].map((byte) => Buffer.from([byte]));
    expect(await typedAt(...bytes)).toBe("pä");
    await expect(typedAt(latin1("pä"), latin1("ss\r"))).rejects.toThrow(notUtf8("What was typed"));
  });
});

describe("the items of an order", () => {
  const json = '[{"name":"Bücher","quantity":1,"price":5}]';
  const items = [{ name: "Bücher", quantity: 1, price: 5 }];

  test("are read with a byte order mark or without, from a file and from standard input", async () => {
    const file = join(home, "items.json");
    for (const text of [json, `${bom}${json}\r\n`]) {
      writeFileSync(file, text);
      expect(await readItems([], file, promptOf())).toEqual(items);
      expect(await readItems([], "-", promptOf(text))).toEqual(items);
    }
  });

  test("are refused where they are not UTF-8, and not stored with a name that nobody wrote", async () => {
    const file = join(home, "items.json");
    writeFileSync(file, latin1(json));
    await expect(readItems([], file, promptOf())).rejects.toThrow(notUtf8(file));
    await expect(readItems([], "-", promptOf(latin1(json)))).rejects.toThrow(notUtf8("Standard input"));
  });

  test("in a word of the command line that Node could not decode are refused", async () => {
    let err = "";
    const code = await runCli({
      args: ["order", "create", "B\uFFFDcher:1:5"],
      env: { HOME: home },
      input: Readable.from([]) as Input,
      out: output,
      err: {
        write(text) {
          err += text;
        },
      },
      exit: () => undefined,
    });
    expect(code).toBe(2);
    expect(err).toContain("A word of the command line is not valid UTF-8");
  });
});

test("the lines of a program for the interactive session are decoded likewise", async () => {
  async function* input() {
    yield Buffer.from(`${bom}1\n`);
    yield latin1("'ä'\n");
  }
  const lines = makeLines(input());
  lines.next();
  const [first] = (await lines.stream.iterator({ destroyOnReturn: false }).next()).value.toString().split("\n");
  expect(first).toBe("1");
  const failed = new Promise((resolve) => lines.stream.once("error", resolve));
  lines.next();
  expect(await failed).toEqual(notUtf8("Standard input"));
});

test("a profile that is not UTF-8 is damaged", () => {
  const profiles = makeProfiles({ XDG_CONFIG_HOME: home });
  profiles.write("work", {});
  const file = join(profiles.directory, "work.json");
  writeFileSync(file, latin1('{"ä":1}'));
  expect(() => profiles.read("work")).toThrow(
    expect.objectContaining<Partial<CliError>>({ code: "failed_precondition", message: `${file} is damaged` }),
  );
});
