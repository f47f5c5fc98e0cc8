import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fileDirectory } from "./file-directory.ts";
import { watching } from "./fixtures/watching.ts";

const a = "http://127.0.0.1:8081";
const b = "unix:/run/users.sock";

/** A file in a directory of its own, watched; without the looks at intervals unless the test wants them. */
function watchedFile(text: string, intervalMs = 3_600_000) {
  const directory = mkdtempSync(join(tmpdir(), "flotilla-list-"));
  const path = join(directory, "users");
  writeFileSync(path, text);
  const watch = watching((options) => fileDirectory(path, { ...options, intervalMs }));
  return {
    ...watch,
    write: (next: string | Buffer) => writeFileSync(path, next),
    replace(next: string) {
      writeFileSync(join(directory, "draft"), next);
      renameSync(join(directory, "draft"), path);
    },
    remove: () => rmSync(path),
    [Symbol.dispose]() {
      watch[Symbol.dispose]();
      rmSync(directory, { recursive: true });
    },
  };
}

test("a file lists addresses by lines or as JSON, and counts when it is written or replaced by another", async () => {
  using file = watchedFile(`# the users\n${a}\n\n  ${b}  \n`);
  await file.names([a, b]);
  file.write(`\uFEFF${JSON.stringify([a])}\r\n`);
  await file.names([a]);
  file.write(`\uFEFF${b}\r\n`);
  await file.names([b]);
  for (const list of [[b], [a, b], [b]]) {
    file.replace(list.join("\n"));
    await file.names(list);
  }
});

test("what is no list keeps the last good one, and is reported; a list is taken again afterwards", async () => {
  using file = watchedFile(a);
  await file.names([a]);
  file.replace('["http://127.0.0.1:1", 7]');
  await file.complains(/begins as JSON/);
  file.write(Buffer.from(`# b\u00fcro\n${b}`, "latin1"));
  await file.complains(/not valid UTF-8/);
  file.replace("ftp://host");
  await file.complains(/"ftp:\/\/host" is no address/);
  file.replace("x".repeat(64 * 1024 + 1));
  await file.complains(/more than 65536 bytes/);
  file.replace("# nobody\n");
  await file.complains(/names no instance/);
  expect(file.heard).toEqual([[a]]);
  file.replace(b);
  await file.names([b]);
});

test("a file that is not there, or not any more, is waited for", async () => {
  using file = watchedFile(a);
  await file.names([a]);
  file.remove();
  await file.complains(/cannot be looked into/);
  expect(file.heard).toEqual([[a]]);
  file.write(b);
  await file.names([b]);
});

test("where nobody tells of a change it is seen at the next look", async () => {
  const directory = mkdtempSync(join(tmpdir(), "flotilla-list-"));
  // The parent that could be watched does not exist yet.
  const path = join(directory, "later", "users");
  using list = watching((options) => fileDirectory(path, { ...options, intervalMs: 100 }));
  await list.complains(/cannot be looked into/);
  mkdirSync(join(directory, "later"));
  writeFileSync(path, a);
  await list.names([a]);
  rmSync(directory, { recursive: true });
});
