import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { killGroup, type Program, runProgram } from "./run-program.ts";

/** A repository of one package, and instead of npm a program that does what a test says. */
let clone = "";
beforeEach(() => {
  clone = mkdtempSync(join(tmpdir(), "flotilla-install-"));
  cpSync(fileURLToPath(new URL("../scripts", import.meta.url)), join(clone, "scripts"), { recursive: true });
  write("package.json", '{ "type": "module" }');
  write("package-lock.json", JSON.stringify({ packages }));
  write("main.js", 'console.log("main runs");');
});
afterEach(() => rmSync(clone, { recursive: true, force: true }));

const packages = { "node_modules/thing": { version: "1.0.0" } };

function write(path: string, text: string): void {
  const file = join(clone, path);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, text);
}

/** @param mark stands in a file of the package. */
function writeModules(directory: string, mark: string): void {
  write(join(directory, ".package-lock.json"), JSON.stringify({ packages }));
  write(join(directory, "thing/package.json"), JSON.stringify({ mark }));
}

const mark = () => JSON.parse(readFileSync(join(clone, "node_modules/thing/package.json"), "utf8")).mark;
const leftovers = () => readdirSync(clone).filter((name) => name.startsWith(".setup"));

/** Runs main.js by setup.js, and `npm` in the directory of the install that it needs. */
function setUp(npm: string, wrapper: readonly string[] = []): Program {
  write("npm-cli.js", npm);
  const command = [...wrapper, process.execPath, join(clone, "scripts/setup.js"), "main.js"];
  const env = { npm_execpath: join(clone, "npm-cli.js"), npm_lifecycle_script: "exec node scripts/setup.js main.js" };
  const its = runProgram(command, { env: { PATH: process.env.PATH, ...env } });
  onTestFinished(() => killGroup(its));
  return its;
}

const working = `
  import { cpSync } from "node:fs";
  cpSync("../made", "node_modules", { recursive: true });
`;
const failing = "process.exit(1);";
/** Runs a script of a package; the shell that npm starts for it would die of a signal and leave that behind. */
const hanging = `
  import { mkdirSync } from "node:fs";
  import { spawn } from "node:child_process";
  mkdirSync("node_modules/half", { recursive: true });
  const program = 'process.on("SIGINT", () => {}).on("SIGTERM", () => {}); console.log("script runs"); setTimeout(() => {}, 60_000);';
  spawn(process.execPath, ["-e", program], { stdio: "inherit" });
`;

test.skipIf(process.platform === "win32").each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
  ["SIGHUP", 129],
] as const)("%s ends npm, its scripts and the command, which installs when it runs again", async (signal, exitCode) => {
  const first = setUp(hanging);
  await first.says(/script runs/);
  first.child.kill(signal);
  // Not before the last process has closed the pipe.
  const { code, output } = await first.ended;
  expect({ code, output }).toEqual({
    code: exitCode,
    output: `Installing dependencies (once) ...\nscript runs\n${signal} ended the install. Nothing was started.\n`,
  });
  expect(leftovers()).toEqual([]);
  writeModules("made", "new");
  expect((await setUp(working).ended).output).toBe("Installing dependencies (once) ...\nmain runs\n");
  expect(mark()).toBe("new");
});

test.skipIf(process.platform === "win32")("an install ends when the npm that ran its command dies", async () => {
  const npm = setUp(hanging, ["sh", "-c", '"$@"; exit', "sh"]);
  await npm.says(/script runs/);
  npm.child.kill("SIGKILL");
  expect((await npm.ended).output).toContain("SIGTERM ended the install. Nothing was started.\n");
  expect(leftovers()).toEqual([]);
});

test("an install that was killed between its renames is undone", async () => {
  writeModules(".setup-killed/old", "old");
  writeModules(".setup-killed/node_modules", "new");
  expect(await setUp(failing).ended).toEqual({ code: 0, output: "main runs\n" });
  expect(mark()).toBe("old");
  expect(leftovers()).toEqual([]);
});

test("an install that failed leaves node_modules as it was, also when npm said that it had made a new one", async () => {
  writeModules("node_modules", "old");
  rmSync(join(clone, "node_modules/.package-lock.json"));
  for (const npm of [failing, ""]) {
    const { code, output } = await setUp(npm).ended;
    expect({ code, output }).toEqual({ code: 1, output: expect.stringMatching(/Nothing was started\.\n$/) });
    expect(mark()).toBe("old");
    expect(leftovers()).toEqual([]);
  }
});

test("what installs that were killed left behind goes with the next one", async () => {
  write(".setup-killed/node_modules/half/package.json", "{}");
  write(".setup.lock-1-long-ago", "");
  writeModules("made", "new");
  expect((await setUp(working).ended).code).toBe(0);
  expect(leftovers()).toEqual([]);
  expect(existsSync(join(clone, "node_modules/half"))).toBe(false);
});
