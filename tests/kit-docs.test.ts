// The pages of docs/kit: their programs and snippets are run, and print what stands below them. The tutorial and the
// reference have tests of their own; that all of it compiles against the package is seen beside the tutorial.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { anchorsOf, linksIn } from "./documents.ts";
import { everything, programs, runsAll, savePages, snippets, testFiles } from "./kit-pages.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

/** Within the repository, so that packages are found as from anywhere in it. */
const workDir = mkdtempSync(join(root, "tests", ".kit-docs-"));
afterAll(() => rmSync(workDir, { recursive: true, force: true }));

beforeAll(() => savePages(workDir));

const shown = [...programs, ...snippets];

test("every program on these pages is run, and says what it prints", () => {
  const others = everything.filter((it) => ![...shown, ...testFiles].includes(it));
  expect(others.map(({ name }) => name)).toEqual(["library.ts"]);
  const stubs = readFileSync(join(root, "docs", "kit", "stubs.md"), "utf8");
  expect(stubs.match(/^(Wrong:\n\n```ts wrong|Right:\n\n```ts right)$/gm)).toHaveLength(snippets.length);
  expect([programs.length, snippets.length, testFiles.length]).toEqual([14, 19, 2]);
});

describe("what stands on these pages", () => {
  let outputs: string[] = [];
  beforeAll(async () => {
    const { stdout, stderr } = await run(process.execPath, [runsAll], { cwd: workDir, timeout: 100_000 });
    outputs = stdout.split(/^#\d+\n/m).slice(1);
    expect(stderr).toBe("");
  }, 120_000);

  const titles = shown.map(({ name, block, prints }, i) => [`${name} ${block.file ?? ""}`, i, prints] as const);
  test.each(titles)("%s prints what stands below it", (_, i, prints) => {
    expect(outputs[i]).toBe(prints);
  });

  test("shows it right after it has shown it wrong, and right leaves nothing behind", () => {
    const wrong = shown.flatMap(({ block }, i) => (block.file === "wrong" ? [i] : []));
    for (const i of wrong) {
      expect(shown[i + 1]?.block.file).toBe("right");
      expect(outputs[i]).not.toBe(outputs[i + 1]);
    }
    const right = outputs.filter((_, i) => shown[i]?.block.file === "right");
    for (const output of right) expect(output).toMatch(/^left behind: nothing$/m);
    expect(outputs.filter((output) => /^left behind: \d/m.test(output)).length).toBeGreaterThanOrEqual(5);
  });
});

test("the tests on these pages pass", { timeout: 60_000 }, async () => {
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  const { stdout } = await run(process.execPath, [vitest, "run", "--root", workDir], { cwd: workDir, env: {} });
  expect(stdout).toMatch(/Test Files .*2 passed/);
});

const pages = [
  ...readdirSync(join(root, "docs")).map((name) => join("docs", name)),
  ...readdirSync(join(root, "docs", "kit")).map((name) => join("docs", "kit", name)),
  ...readdirSync(join(root, "examples"), { recursive: true, encoding: "utf8" }).map((name) => join("examples", name)),
].filter((path) => path.endsWith(".md"));

test.each(pages)("every link of %s leads somewhere", (page) => {
  const text = readFileSync(join(root, page), "utf8");
  const broken = linksIn(text).filter((link) => {
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? page : join(dirname(page), path);
    if (!existsSync(join(root, target))) return true;
    return anchor !== undefined && !anchorsOf(readFileSync(join(root, target), "utf8")).has(anchor);
  });
  expect(broken).toEqual([]);
});

test.each(pages)("every file and folder that %s names is there", (page) => {
  const text = readFileSync(join(root, page), "utf8").replace(/^```[\s\S]*?^```$/gm, "");
  const named = [...text.matchAll(/`((?:kit|shop|tests|docs|scripts|bench|examples)\/[\w./-]*)`/g)];
  expect(named.map(([, path = ""]) => path).filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test("docs/README.md names every page", () => {
  const named = linksIn(readFileSync(join(root, "docs", "README.md"), "utf8"));
  const missing = pages.filter((page) => page.startsWith("docs") && !/decisions|README/.test(page));
  expect(missing.filter((page) => !named.includes(page.slice("docs/".length)))).toEqual([]);
});
