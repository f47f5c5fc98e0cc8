import { watch } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Directory } from "./directory.ts";
import { type DirectoryOptions, makeLookup, malformed, textOf } from "./lookup.ts";

/** 128 addresses are 10 KB. Bytes. */
const fileBytesMax = 64 * 1024;
/** Where the operating system tells nothing of changes, such as over NFS. Milliseconds. */
const intervalMsDefault = 2_000;

/**
 * A file that lists the addresses: one a line, where empty lines and `#` lines say nothing, or a JSON array of texts. It may
 * be written in place or replaced by a rename; a change counts at once where the operating system tells of it, else at the
 * next look. Default: a look every 2 s.
 */
export function fileDirectory(path: string, options: DirectoryOptions = {}): Directory {
  return makeLookup(
    {
      title: path,
      intervalMs: intervalMsDefault,
      look: async () => ({ urls: parse(await read(path), path) }),
      listen: (changed) => listen(path, changed),
    },
    options,
  );
}

/** At most so much of it, whatever it is: it may grow while it is read. */
async function read(path: string): Promise<string> {
  await using file = await open(path);
  const buffer = Buffer.alloc(fileBytesMax + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length);
    length += bytesRead;
    if (length > fileBytesMax) throw malformed(path, `it has more than ${fileBytesMax} bytes`);
    if (bytesRead === 0) return textOf(buffer.subarray(0, length), path);
  }
}

function parse(text: string, path: string): string[] {
  if (!text.trimStart().startsWith("[")) {
    const lines = text.split("\n").map((line) => line.trim());
    return lines.filter((line) => line !== "" && !line.startsWith("#"));
  }
  const list = parseJson(text);
  if (Array.isArray(list) && list.every((entry) => typeof entry === "string")) return list;
  throw malformed(path, "it begins as JSON, and is no array of texts");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The directory it is in, and not the file: after a rename that would be another. */
function listen(path: string, changed: () => void): () => void {
  const name = basename(path);
  try {
    const watcher = watch(dirname(path), { persistent: false }, (_event, changedName) => {
      if (changedName === null || changedName === name) changed();
    });
    // Such as a directory that was removed; the looks at intervals go on.
    watcher.on("error", () => watcher.close());
    return () => watcher.close();
  } catch {
    return () => {};
  }
}
