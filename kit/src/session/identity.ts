import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { chmodSync, linkSync, mkdirSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FlotillaError } from "../base/errors.ts";

/** A service's own Ed25519 key and the public keys of the services it may meet. */
export interface Identity {
  readonly name: string;
  readonly privateKey: KeyObject;
  /** Read when asked, because the other service may make its key after this one started. */
  publicKeyOf(name: string): KeyObject | undefined;
}

const hasModes = process.platform !== "win32";

/**
 * The identity of service `name` from `directory`, made there on first use: `NAME.key` (mode 0600) and `NAME.pub`.
 * Safe when several processes start at once: the key that was there first wins.
 *
 * @throws FlotillaError `failed_precondition` when the private key is readable by other users.
 */
export function openIdentity(directory: string, name: string): Identity {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (hasModes) chmodSync(directory, 0o700);
  const keyFile = join(directory, `${name}.key`);
  const privateKey = readKey(keyFile) ?? makeKey(keyFile);
  const publicPem = createPublicKey(privateKey).export({ type: "spki", format: "pem" }) as string;
  const publicFile = join(directory, `${name}.pub`);
  if (readText(publicFile) !== publicPem) writeAtomically(publicFile, publicPem);
  return {
    name,
    privateKey,
    publicKeyOf(other) {
      const pem = readText(join(directory, `${other}.pub`));
      return pem === undefined ? undefined : createPublicKey(pem);
    },
  };
}

function makeKey(file: string): KeyObject {
  const { privateKey } = generateKeyPairSync("ed25519");
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  writeFileSync(draft, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600, flag: "wx" });
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

function readKey(file: string): KeyObject | undefined {
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

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function writeAtomically(file: string, text: string): void {
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  writeFileSync(draft, text, { mode: 0o644 });
  renameSync(draft, file);
}
