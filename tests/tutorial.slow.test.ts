// docs/kit/tutorial.md, as somebody follows it: from an empty folder, with the package, to three processes that run.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packKit } from "../kit/package/pack.ts";
import { type Block, blocksOf } from "./documents.ts";
import { freePort } from "./free-port.ts";
import { savePages } from "./kit-pages.ts";
import { killGroup, type Program, runProgram } from "./run-program.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(join(root, "docs", "kit", "tutorial.md"), "utf8");

/** What a reader has: Node 24, and npm that says only what matters. */
const env = {
  ...process.env,
  PATH: `${join(root, "node_modules", ".bin")}${delimiter}${process.env.PATH}`,
  npm_config_prefer_offline: "true",
  npm_config_update_notifier: "false",
};
const home = mkdtempSync(join(tmpdir(), "flotilla-tutorial-"));
const terminals: Program[] = [];
let tarball = "";
let portOf: (asWritten: string) => string;

beforeAll(async () => {
  const ports = new Map<string, string>();
  for (const port of new Set(page.match(/\b400\d\b/g))) ports.set(port, String(await freePort()));
  portOf = (asWritten) => ports.get(asWritten)!;
  tarball = await packKit();
}, 120_000);

afterAll(() => {
  for (const terminal of terminals) killGroup(terminal);
  rmSync(home, { recursive: true, force: true });
});

/** The page as it is typed here: by this machine's ports, and with the path of the package. */
const here = (text: string) => text.replace(/\b400\d\b/g, portOf).replace("/path/to/flotilla-kit-0.1.0.tgz", tarball);

const open = (command: string) => runProgram(["sh", "-c", `exec ${command}`], { cwd: home, env });

const blocks = blocksOf(page);
/** A command's output stands in the block after it, if it has any. */
const outputOf = (block: Block) => {
  const next = blocks[blocks.indexOf(block) + 1];
  return next?.language === "text" ? next.text : undefined;
};

test("the page has a file or a command at every step", () => {
  const kinds = new Set(blocks.map(({ language }) => language));
  expect([...kinds].sort()).toEqual(["json", "sh", "text", "ts"]);
  const files = blocks.filter(({ language }) => language === "ts" || language === "json").map(({ file }) => file);
  expect(files).toEqual([
    "package.json",
    ...["contracts", "members", "books", "desk", "visit", "intruder"].map((name) => `${name}.ts`),
    "tsconfig.json",
  ]);
});

describe("step by step, from an empty folder", () => {
  const steps = blocks.filter(({ language }) => language !== "text");
  const titles = steps.map((step) => [step.language === "sh" ? step.text.trim() : `save ${step.file}`, step] as const);

  test.each(titles)(
    "%s",
    async (_, step) => {
      if (step.language !== "sh") {
        writeFileSync(join(home, step.file!), here(step.text));
        return;
      }
      if (step.file) {
        const terminal = open(here(step.text.trim()));
        terminals.push(terminal);
        await expect.poll(terminal.output, { timeout: 60_000 }).toBe(here(outputOf(step)!));
        return;
      }
      for (const command of here(step.text).trim().split("\n")) {
        const { stdout, stderr } = await run("sh", ["-c", command], { cwd: home, env, timeout: 100_000 });
        const output = outputOf(step);
        if (output !== undefined) expect(stdout).toBe(here(output));
        if (!command.startsWith("npm")) expect(stderr).toBe("");
      }
    },
    120_000,
  );

  test("the kit is the package's JavaScript, and brings no other Cap'n Web", async () => {
    const script = 'console.log(import.meta.resolve("@flotilla/kit"))';
    const { stdout } = await run("node", ["--input-type=module", "--eval", script], { cwd: home, env });
    expect(stdout).toMatch(/node_modules\/@flotilla\/kit\/.*\.js\n$/);
    const { stdout: tree } = await run("npm", ["ls", "typebox", "--all", "--parseable"], { cwd: home, env });
    expect(tree.match(/node_modules\/typebox$/gm)).toHaveLength(1);
  });

  // In one run of the compiler, because it takes longer than all the rest.
  test("a contract that forgets a method does not compile, as the page says; all the other pages do", async () => {
    savePages(home);
    symlinkSync(join(root, "node_modules", "vitest"), join(home, "node_modules", "vitest"));
    const contracts = readFileSync(join(home, "contracts.ts"), "utf8");
    writeFileSync(join(home, "forgetful.ts"), contracts.replace("  reportLost: { params: [card] },\n", ""));
    const { stdout } = await run("npx", ["tsc"], { cwd: home, env }).catch((error) => error);
    const says = "Property 'reportLost' is missing";
    expect(page).toContain(says);
    expect(stdout).toContain(says);
    expect(stdout.match(/^\S+\(\d+,\d+\): error/gm)).toEqual([expect.stringMatching(/^forgetful\.ts/)]);
  }, 120_000);

  test("three processes run, and each ends by Ctrl+C", async () => {
    expect(terminals.map(({ child }) => child.exitCode)).toEqual([null, null, null]);
    for (const port of ["4001", "4002", "4003"]) {
      const health = await fetch(`http://127.0.0.1:${portOf(port)}/healthz`);
      expect(health.status).toBe(200);
    }
    for (const { child, ended } of terminals) {
      child.kill("SIGINT");
      const { code, output } = await ended;
      expect([code, output.trim().split("\n")]).toEqual([0, [expect.stringMatching(/^\w+ at http:/)]]);
    }
  });
});
