import { chmodSync, statSync } from "node:fs";
import { FlotillaError } from "./errors.ts";

const hasModes = process.platform !== "win32";
const othersAll = 0o077;
/** For a file that others may read, and must not change. */
export const othersWrite = 0o022;
const world = 0o007;

/** Hears of a file that was open to its group, and was closed. */
export type OnClosed = (file: string) => void;

/** Options of `assertPrivate`. */
export interface PrivateFile {
  /** The bits of its mode that only its owner may have. Default: all. */
  readonly forbidden?: number;
  /** For the error: what is wrong with an open file, and what to do. */
  readonly refusal: string;
  /** Default: a line on stderr. */
  readonly onClosed?: OnClosed | undefined;
}

/**
 * Throws `failed_precondition` when others than its owner can use `file`.
 *
 * SECURITY: a file of ours that only its group can use is closed again instead, with a word about it. Volumes that are
 * handed to a group (`fsGroup` of Kubernetes) open every file to that group at each mount, and the group is then the
 * service's own. What the whole machine could read is not closed in silence: somebody may have read it.
 */
export function assertPrivate(
  file: string,
  { forbidden = othersAll, refusal, onClosed = printClosed }: PrivateFile,
): void {
  if (!hasModes) return;
  const { mode, uid } = statSync(file);
  const open = mode & forbidden;
  if (open === 0) return;
  if ((open & world) !== 0 || uid !== process.geteuid?.() || !isClosed(file, mode & 0o777 & ~forbidden)) {
    throw new FlotillaError("failed_precondition", `${file} ${refusal}`, { reason: "file_open" });
  }
  onClosed(file);
}

function isClosed(file: string, mode: number): boolean {
  try {
    chmodSync(file, mode);
    return true;
  } catch {
    return false;
  }
}

function printClosed(file: string): void {
  console.error(`flotilla: ${file} was open to its group, and is closed now`);
}
