import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockDataDirectory } from "./lock.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "flotilla-lock-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("a directory that is locked is refused, naming the process that has it", () => {
  const lock = lockDataDirectory(dir);
  expect(() => lockDataDirectory(dir)).toThrow(`already runs on ${dir} (process ${process.pid})`);
  lock.release();
});

test("a released directory can be locked again, and releasing twice does nothing", () => {
  const lock = lockDataDirectory(dir);
  lock.release();
  lock.release();
  lockDataDirectory(dir).release();
});

test("a directory that is not there is made, for its owner only", () => {
  const made = join(dir, "a", "b");
  lockDataDirectory(made).release();
  if (process.platform === "win32") return;
  expect(statSync(made).mode & 0o777).toBe(0o700);
  expect(statSync(join(made, "supervisor.lock")).mode & 0o777).toBe(0o600);
});

test("a path that is no directory is refused in words", () => {
  const file = join(dir, "file");
  writeFileSync(file, "");
  expect(() => lockDataDirectory(file)).toThrow(/data directory .* cannot be used/);
});

test("kill -9 of the owner, and nothing before, frees the directory", async () => {
  const code = `
    const { lockDataDirectory } = await import(${JSON.stringify(new URL("lock.ts", import.meta.url).href)});
    lockDataDirectory(process.argv[1]);
    gc();
    console.log("locked");
    process.stdin.resume();
  `;
  const owner = spawn(process.execPath, ["--expose-gc", "--input-type=module", "-e", code, dir], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(owner.stdout, "data");
  expect(() => lockDataDirectory(dir)).toThrow(`process ${owner.pid}`);
  owner.kill("SIGKILL");
  await once(owner, "exit");
  lockDataDirectory(dir).release();
});
