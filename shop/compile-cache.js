// Plain JavaScript, because the launcher asks it under whatever Node the host has.
import { lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const packages = fileURLToPath(new URL("../node_modules/", import.meta.url));

/**
 * The directory in which Node keeps compiled code between runs; it is made on first use. Stripping types and compiling
 * is half of what it costs to start a service.
 *
 * SECURITY: Node runs whatever it finds there, so the directory stands beside the packages, not among the system's
 * temporary files, and is used only if it is this user's and closed to everyone else.
 *
 * @param {string} [parent] where the packages are.
 * @returns {string | undefined} its absolute path; `undefined` where it cannot be written or is not private, and code is
 *   then compiled anew in each process.
 */
export function compileCacheDir(parent = packages) {
  const dir = join(parent, ".cache", "flotilla");
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const { mode, uid } = lstatSync(dir);
    const isPrivate = process.platform === "win32" || (uid === process.getuid() && (mode & 0o077) === 0);
    return isPrivate ? dir : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The same for a process that is started.
 *
 * @param {string} [parent] where the packages are.
 * @returns {Record<string, string>} variables for its environment: none where there is no cache.
 */
export function compileCacheVariables(parent = packages) {
  const dir = compileCacheDir(parent);
  return dir === undefined ? {} : { NODE_COMPILE_CACHE: dir };
}
