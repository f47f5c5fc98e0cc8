import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  type KeyPairKeyObjectResult,
  randomBytes,
} from "node:crypto";
import { chmodSync, linkSync, mkdirSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FlotillaError } from "../base/errors.ts";
import { assertPrivate, type OnClosed } from "../base/private-file.ts";
import { addTrust, isRevoked, keyOf, readText, readTrust, trustedKeys, wordOf } from "./trust.ts";

/** A service's own Ed25519 key and the public keys of the services it may meet. */
export interface Identity {
  readonly name: string;
  /** The newest: after a rotation the next one, without a restart. */
  readonly privateKey: KeyObject;
  /**
   * All that stand for `name` now. Read when asked: the other service may make its key after this one started, have two
   * while one takes over from the other, and lose one.
   */
  publicKeysOf(name: string): readonly KeyObject[];
}

/** Options of `openIdentity`. */
export interface IdentityOptions {
  /** Hears of a file that was open to its group, and was closed. */
  readonly onClosed?: OnClosed;
}

const hasModes = process.platform !== "win32";

/**
 * The identity by which service `name` proves its name, from `directory`, made there on first use: `NAME.key` (mode
 * 0600), and a line in the trust file. Safe when several processes start at once: the key that was there first wins.
 *
 * Files of ours that were opened to their group are closed again; `onClosed` hears of each, and by default it is a line on
 * stderr.
 *
 * @throws FlotillaError `failed_precondition`: the private key is readable by other users (reason `file_open`), damaged
 *   (`key_damaged`) or revoked (`key_revoked`), or the trust file is malformed (`trust_file`).
 */
export function openIdentity(directory: string, name: string, { onClosed }: IdentityOptions = {}): Identity {
  openKeys(directory);
  const keyFile = keyFileOf(directory, name);
  let privateKey = readKey(keyFile, onClosed) ?? makeKey(keyFile);
  const own = wordOf(createPublicKey(privateKey));
  const lines = readTrust(directory, onClosed);
  if (isRevoked(lines, own)) throw revoked(name, keyFile);
  if (!trustedKeys(lines, name).includes(own)) addTrust(directory, { verb: "trust", name, key: own, comment: today() });
  return {
    name,
    get privateKey() {
      privateKey = readKey(keyFile, onClosed) ?? privateKey;
      return privateKey;
    },
    publicKeysOf(other) {
      try {
        return trustedKeys(readTrust(directory, onClosed), other).map(keyOf);
      } catch (cause) {
        // A fault of ours, for our log: no peer is to hear of files.
        throw new Error("the trust file cannot be used", { cause });
      }
    },
  };
}

/** Closes the directory of keys to everybody else; makes it if there is none. */
export function openKeys(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (hasModes) chmodSync(directory, 0o700);
}

export function keyFileOf(directory: string, name: string): string {
  return join(directory, `${name}.key`);
}

/** For the comment of a line in the trust file. */
export function today(): string {
  return new Date().toISOString().slice(0, 10);
}

/**
 * Puts a new key in the place of `NAME.key`.
 * @param announce told the public key before anybody can meet it.
 */
export function replaceKey(file: string, announce: (publicKey: KeyObject) => void): void {
  const { privateKey, publicKey } = newKeyPair();
  announce(publicKey);
  renameSync(writeDraft(file, privateKey), file);
}

/** One whose word no command line takes for an option: one in 64 begins with a hyphen. */
function newKeyPair(): KeyPairKeyObjectResult {
  const pair = generateKeyPairSync("ed25519");
  return wordOf(pair.publicKey).startsWith("-") ? newKeyPair() : pair;
}

function makeKey(file: string): KeyObject {
  const draft = writeDraft(file, newKeyPair().privateKey);
  try {
    // A link fails when the name is taken, and the file is whole from the moment it has its name.
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    unlinkSync(draft);
  }
  return readKey(file)!;
}

function writeDraft(file: string, privateKey: KeyObject): string {
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  writeFileSync(draft, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600, flag: "wx", flush: true });
  return draft;
}

/**
 * The private key in `file`; undefined when there is no such file.
 * @throws FlotillaError `failed_precondition`, which names the file: reason `file_open` when other users can read it,
 *   `file_unreadable` when we cannot, `key_damaged` when it holds no such key.
 */
export function readKey(file: string, onClosed?: OnClosed): KeyObject | undefined {
  const pem = readText(file);
  if (pem === undefined) return undefined;
  const refusal = "is readable by other users: make it mode 0600, or make a new key";
  assertPrivate(file, { refusal, onClosed });
  return parseKey(pem) ?? damaged(file, pem);
}

function parseKey(pem: string): KeyObject | undefined {
  try {
    const key = createPrivateKey(pem);
    return key.asymmetricKeyType === "ed25519" ? key : undefined;
  } catch {
    return undefined;
  }
}

function damaged(file: string, pem: string): never {
  const what = pem.trim() === "" ? "is empty" : "is damaged: it holds no Ed25519 private key";
  const message =
    `${file} ${what}. Restore it from a backup, or remove it: a new key is made in its place, ` +
    "which other machines have to trust";
  throw new FlotillaError("failed_precondition", message, { reason: "key_damaged" });
}

function revoked(name: string, file: string): FlotillaError {
  return new FlotillaError("failed_precondition", `${file} was revoked: make the next key of ${name} (keys rotate)`, {
    reason: "key_revoked",
  });
}
