import { chmodSync, mkdirSync, mkdtempDisposableSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compileCacheDir, compileCacheVariables } from "./compile-cache.js";

const temporary = () => mkdtempDisposableSync(join(tmpdir(), "flotilla-cache-"));

test("the directory is made closed to others, and found again", () => {
  using parent = temporary();
  const dir = compileCacheDir(parent.path);
  expect(dir).toBe(join(parent.path, ".cache", "flotilla"));
  if (process.platform !== "win32") expect(statSync(dir!).mode & 0o777).toBe(0o700);
  expect(compileCacheVariables(parent.path)).toEqual({ NODE_COMPILE_CACHE: dir });
});

test.skipIf(process.platform === "win32").each([0o770, 0o707, 0o750])(
  "a directory with mode %o, to which others have access, is not used",
  (mode) => {
    using parent = temporary();
    chmodSync(compileCacheDir(parent.path)!, mode);
    expect(compileCacheVariables(parent.path)).toEqual({});
  },
);

test.skipIf(process.platform === "win32")("a link to a directory is not followed", () => {
  using parent = temporary();
  using elsewhere = temporary();
  mkdirSync(join(parent.path, ".cache"));
  symlinkSync(elsewhere.path, join(parent.path, ".cache", "flotilla"));
  expect(compileCacheDir(parent.path)).toBeUndefined();
});

test.skipIf(process.getuid?.() !== 0)("a directory of another user is not used", async () => {
  const { chownSync } = await import("node:fs");
  using parent = temporary();
  chownSync(compileCacheDir(parent.path)!, 65_534, 65_534);
  expect(compileCacheDir(parent.path)).toBeUndefined();
});

test("where it cannot be made there is none, and nothing fails", () => {
  using parent = temporary();
  writeFileSync(join(parent.path, ".cache"), "");
  expect(compileCacheDir(parent.path)).toBeUndefined();
});
