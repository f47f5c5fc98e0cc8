import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CommandSpec } from "../shop/cli/command.ts";
import { allCommands } from "../shop/cli/commands.ts";
import { exitCodes } from "../shop/cli/exit-codes.ts";
import { referenceOf } from "../shop/cli/reference.ts";
import { type Cli, launcher, makeCli } from "./cli-harness.ts";
import { type Processes, startProcesses } from "./process-harness.ts";

const run = promisify(execFile);
const docs = fileURLToPath(new URL("../docs/", import.meta.url));
const page = readFileSync(join(docs, "cli.md"), "utf8");
const blocks = [...page.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].map(([, info = "", text = ""]) => ({ info, text }));
const walks = blocks.flatMap(({ info, text }, i) =>
  info === "sh" ? [{ text, prints: blocks[i + 1]?.text ?? "" }] : [],
);
const tree = await allCommands();

const leaves = (spec: CommandSpec, path = spec.name): string[] =>
  spec.commands?.flatMap((child) => leaves(child, `${path} ${child.name}`)) ?? [path];

test("the reference is what the commands say of themselves", async () => {
  await expect(referenceOf(tree)).toMatchFileSnapshot(join(docs, "cli-reference.md"));
});

test("the page shows every command and every exit code", () => {
  const commands = walks.map(({ text }) => text).join("\n");
  const missing = tree.flatMap((spec) => leaves(spec)).filter((path) => !commands.includes(`flotilla ${path}`));
  expect(missing).toEqual([]);
  for (const { code, meaning } of exitCodes)
    expect(page).toMatch(new RegExp(`^ +${code} .*${RegExp.escape(meaning)}$`, "m"));
});

// The page is for people with a POSIX shell.
describe.skipIf(process.platform === "win32")("what the page says is what happens:", () => {
  let shop: Processes;
  let cli: Cli;

  beforeAll(async () => {
    shop = await startProcesses();
    cli = makeCli({ FLOTILLA_GATEWAY_URL: shop.urls.gateway });
    const bin = join(cli.home, "bin");
    mkdirSync(bin);
    const script = `#!/bin/sh\nexec "${process.execPath}" "${launcher}" "$@"\n`;
    writeFileSync(join(bin, "flotilla"), script, { mode: 0o755 });
  });

  afterAll(async () => {
    await shop[Symbol.asyncDispose]();
    cli[Symbol.dispose]();
  });

  test.each(walks.map((walk, i) => [i + 1, walk] as const))("commands %i", async (_, { text, prints }) => {
    const env = {
      ...cli.env,
      PATH: [join(cli.home, "bin"), process.env.PATH].join(delimiter),
      FLOTILLA_DATA: join(cli.home, "data"),
      FLOTILLA_USERS_URL: shop.urls.users,
      FLOTILLA_ORDERS_URL: shop.urls.orders,
    };
    const line = text.replaceAll("/var/lib/flotilla", shop.dataDir);
    // Not the shell's: of the last command it is told by the text.
    const { stdout } = await run("bash", ["-c", `exec 2>&1\n${line}\ntrue`], { cwd: cli.home, env });
    const shown = stdout.replaceAll(shop.urls.gateway, "http://127.0.0.1:8080");
    expect(shown.replaceAll(shop.dataDir, "/var/lib/flotilla")).toMatch(patternOf(prints));
  });
});

/** `...` stands for what differs each time, and columns are as wide as it makes them. */
function patternOf(text: string): RegExp {
  const line = (it: string) =>
    it
      .split(/(\.\.\.| {2,})/)
      .map((part) => (part === "..." ? ".*" : /^ {2,}$/.test(part) ? " +" : RegExp.escape(part)));
  return new RegExp(
    `^${text
      .split("\n")
      .map((it) => line(it).join(""))
      .join("\n")}$`,
  );
}
