import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Which program this is, and since when it runs. */
export interface Build {
  readonly version: string;
  /** Of the sources; null where they are no repository. */
  readonly commit: string | null;
  /** Milliseconds. */
  uptimeMs(): number;
}

export function readBuild(): Build {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  return { version: versionIn(root), commit: commitIn(root), uptimeMs: () => process.uptime() * 1_000 };
}

function versionIn(root: string): string {
  const { version } = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as { version?: unknown };
  return typeof version === "string" ? version : "unknown";
}

/** As git keeps it: in `HEAD` itself, or where that points to. */
function commitIn(root: string): string | null {
  try {
    const head = read(`${root}/.git/HEAD`);
    return head.startsWith("ref: ") ? resolve(`${root}/.git`, head.slice("ref: ".length)) : hashIn(head);
  } catch {
    return null;
  }
}

function resolve(git: string, ref: string): string | null {
  try {
    return hashIn(read(`${git}/${ref}`));
  } catch {
    const line = read(`${git}/packed-refs`)
      .split("\n")
      .find((it) => it.endsWith(` ${ref}`));
    return hashIn(line?.split(" ")[0] ?? "");
  }
}

function read(file: string): string {
  return readFileSync(file, "utf8").trim();
}

function hashIn(text: string): string | null {
  return /^[0-9a-f]{40,64}$/.test(text) ? text : null;
}
