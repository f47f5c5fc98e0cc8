import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openDataDirectory } from "./data-directory.ts";

describe.skipIf(process.platform === "win32")("the data directory", () => {
  let parent = "";
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), "flotilla-directory-"));
  });
  afterEach(() => rmSync(parent, { recursive: true }));
  const modeOf = (path: string) => statSync(path).mode & 0o7777;

  it("is made, with its parents, for its owner only", () => {
    const path = join(parent, "a", "b");
    expect(openDataDirectory(path)).toBe(path);
    expect(modeOf(path)).toBe(0o700);
  });

  const isRoot = process.getuid?.() === 0;

  it("is closed again when it was open to others, with what we left in it", () => {
    for (const name of ["users.db", "users.db-wal", "users.store", "supervisor.lock"])
      writeFileSync(join(parent, name), "");
    for (const name of ["keys", "token-keys", "replaced-2026"]) mkdirSync(join(parent, name));
    // As a volume is that is handed to a group.
    for (const mode of [0o2770, 0o777]) {
      chmodSync(parent, mode);
      openDataDirectory(parent);
      expect(modeOf(parent) & 0o777).toBe(0o700);
    }
  });

  it("is refused when it is open and has something of others', and then left as it was", () => {
    writeFileSync(join(parent, "site.html"), "");
    for (const mode of [0o755, 0o777, 0o750]) {
      chmodSync(parent, mode);
      expect(() => openDataDirectory(parent)).toThrow(/holds site\.html, .* or name one inside it/);
      expect(modeOf(parent)).toBe(mode);
    }
    chmodSync(parent, 0o700);
    expect(openDataDirectory(parent)).toBe(parent);
  });

  it("is left as it is where others can only read it and it is root's, which owns what it has not made", () => {
    chmodSync(parent, 0o755);
    openDataDirectory(parent);
    expect(modeOf(parent)).toBe(isRoot ? 0o755 : 0o700);
  });

  it("is refused when it is shared, and then left as it was", () => {
    chmodSync(parent, 0o1777);
    expect(() => openDataDirectory(parent)).toThrow(/is shared with other users; name one inside it/);
    expect(modeOf(parent)).toBe(0o1777);
  });

  it("is refused by name when a file is in its place", () => {
    const path = join(parent, "file");
    writeFileSync(path, "");
    expect(() => openDataDirectory(path)).toThrow(`The data directory ${path} cannot be made`);
  });
});
