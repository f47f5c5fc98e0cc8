import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  type KeyPairKeyObjectResult,
  randomBytes,
} from "node:crypto";
import { chmodSync, linkSync, mkdirSync, renameSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FlotillaError } from "../base/errors.ts";
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

const hasModes = process.platform !== "win32";

/**
 * The identity by which service `name` proves its name, from `directory`, made there on first use: `NAME.key` (mode
 * 0600), and a line in the trust file. Safe when several processes start at once: the key that was there first wins.
 *
 * @throws FlotillaError `failed_precondition`: the private key is readable by other users, or was revoked (reason
 *   `key_revoked`), or the trust file is none (reason `trust_file`).
 */
export function openIdentity(directory: string, name: string): Identity {
  openKeys(directory);
  const keyFile = keyFileOf(directory, name);
  let privateKey = readKey(keyFile) ?? makeKey(keyFile);
  const own = wordOf(createPublicKey(privateKey));
  const lines = readTrust(directory);
  if (isRevoked(lines, own)) throw revoked(name, keyFile);
  if (!trustedKeys(lines, name).includes(own)) addTrust(directory, { verb: "trust", name, key: own, comment: today() });
  return {
    name,
    get privateKey() {
      privateKey = readKey(keyFile) ?? privateKey;
      return privateKey;
    },
    publicKeysOf(other) {
      try {
        return trustedKeys(readTrust(directory), other).map(keyOf);
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
  writeFileSync(draft, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600, flag: "wx" });
  return draft;
}

/** @throws FlotillaError `failed_precondition` when other users can read it. */
export function readKey(file: string): KeyObject | undefined {
  const pem = readText(file);
  if (pem === undefined) return undefined;
  if (hasModes && (statSync(file).mode & 0o077) !== 0) {
    throw new FlotillaError(
      "failed_precondition",
      `${file} is readable by other users: make it mode 0600, or make a new key`,
    );
  }
  return createPrivateKey(pem);
}

function revoked(name: string, file: string): FlotillaError {
  return new FlotillaError("failed_precondition", `${file} was revoked: make the next key of ${name} (keys rotate)`, {
    reason: "key_revoked",
  });
}
