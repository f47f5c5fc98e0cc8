import { closeSync, fsyncSync, openSync } from "node:fs";

/** The content of the file is on disk when this returns. */
export function syncFile(path: string): void {
  const descriptor = openSync(path, process.platform === "win32" ? "r+" : "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** The same of which files a directory has; Windows does that by itself. */
export function syncDirectory(path: string): void {
  if (process.platform !== "win32") syncFile(path);
}
