import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
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

  it("is closed again when it was open to others", () => {
    chmodSync(parent, 0o755);
    openDataDirectory(parent);
    expect(modeOf(parent)).toBe(0o700);
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
