import { createPublicKey, type KeyObject } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { FlotillaError, hasCode } from "../base/errors.ts";
import { isServiceName } from "../base/ids.ts";
import { assertPrivate, type OnClosed, othersWrite } from "../base/private-file.ts";
import { decodeText } from "../base/text.ts";

/** Says by a line for each key whose it is, and by another that it is not to be trusted any more. */
export const trustFileName = "trusted-keys";

/** An Ed25519 public key as a word: its 32 bytes in base64url. It is short enough to be its own fingerprint. */
export type KeyWord = string;

export interface TrustLine {
  readonly verb: "trust" | "revoke";
  readonly name: string;
  readonly key: KeyWord;
  /** For people: a date, a host. */
  readonly comment: string;
}

const format = /^(trust|revoke) (\S+) ([\w-]{43})(?: (.*))?$/;

/**
 * What the trust file in `directory` says, in its order; nothing when there is none. It is only ever added to, so whoever
 * adds to it loses nobody's line, and a key that was revoked stays so: also if it is listed again.
 *
 * @throws FlotillaError `failed_precondition`: reason `trust_file` when a line is malformed, `file_open` when others than
 *   its owner can write it. Half a trust file is none: the line that is damaged may be the one that revokes.
 */
export function readTrust(directory: string, onClosed?: OnClosed): TrustLine[] {
  const file = join(directory, trustFileName);
  const text = readTrustText(file);
  if (text === undefined) return [];
  assertPrivate(file, {
    forbidden: othersWrite,
    refusal: "can be written by other users: make it mode 0644",
    onClosed,
  });
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "" || line.startsWith("#")) return [];
    const parsed = parseLine(line);
    if (!parsed) throw refusal(`${file}, line ${index + 1}: expected "trust NAME KEY" or "revoke NAME KEY"`);
    return [parsed];
  });
}

/** The lines of a trust file that revoke, whatever else is in it. */
export function revocationsIn(text: string): TrustLine[] {
  return text.split("\n").flatMap((line) => {
    const parsed = parseLine(line);
    return parsed?.verb === "revoke" ? [parsed] : [];
  });
}

function parseLine(line: string): TrustLine | undefined {
  const [, verb, name, key, comment = ""] = format.exec(line.trimEnd()) ?? [];
  if (!isServiceName(name) || key === undefined) return undefined;
  return { verb: verb as TrustLine["verb"], name, key, comment };
}

/** Adds one line, whole, after whatever others add at the same time. It is on disk when this returns. */
export function addTrust(directory: string, { verb, name, key, comment }: TrustLine): void {
  const file = join(directory, trustFileName);
  // Somebody's editor may have left the last line without its end.
  const isOpenEnded = /[^\n]$/.test(readText(file) ?? "");
  const words = [verb, name, key, comment.replace(/\s+/g, " ").trim()].filter((word) => word !== "");
  const descriptor = openSync(file, "a", 0o644);
  try {
    writeSync(descriptor, `${isOpenEnded ? "\n" : ""}${words.join(" ")}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

export function isRevoked(lines: readonly TrustLine[], key: KeyWord): boolean {
  return lines.some((line) => line.verb === "revoke" && line.key === key);
}

/** The keys that stand for `name`, the one that was listed last at the end. */
export function trustedKeys(lines: readonly TrustLine[], name: string): KeyWord[] {
  const listed = lines.filter((line) => line.verb === "trust" && line.name === name).map(({ key }) => key);
  return [...new Set(listed)].filter((key) => !isRevoked(lines, key));
}

export function wordOf(key: KeyObject): KeyWord {
  return key.export({ format: "jwk" }).x as string;
}

export function keyOf(word: KeyWord): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: word }, format: "jwk" });
}

function readTrustText(file: string): string | undefined {
  try {
    return readText(file);
  } catch (error) {
    throw hasCode(error, "invalid_argument") ? refusal((error as Error).message) : error;
  }
}

/**
 * Undefined when there is no such file.
 * @throws FlotillaError `failed_precondition` when there is, and it cannot be read; `invalid_argument` when it is not UTF-8.
 */
export function readText(file: string): string | undefined {
  const bytes = readBytes(file);
  return bytes && decodeText(bytes, file);
}

/** The same without decoding. */
export function readBytes(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    const message = `${file} cannot be read (${code})`;
    throw new FlotillaError("failed_precondition", message, { reason: "file_unreadable", cause });
  }
}

function refusal(message: string): FlotillaError {
  return new FlotillaError("failed_precondition", message, { reason: "trust_file" });
}
