import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";

/** Copies the repository's files to `copy`, as a fresh clone has them. */
export function copyFiles(root: string, copy: string): void {
  const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: root, encoding: "utf8" });
  for (const file of files.split("\n").filter((name) => name !== "")) cpSync(join(root, file), join(copy, file));
}

/** The same with packages, which are shared with the original, but for our own: those are the copy's. */
export function copyRepository(root: string, copy: string): void {
  copyFiles(root, copy);
  const modules = join(copy, "node_modules");
  mkdirSync(join(modules, "@flotilla"), { recursive: true });
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (name !== "@flotilla") symlinkSync(join(root, "node_modules", name), join(modules, name));
  }
  for (const name of ["kit", "shop"]) symlinkSync(join(copy, name), join(modules, "@flotilla", name));
}
