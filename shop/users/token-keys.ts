import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assertPrivate, type Clock, FlotillaError, type OnClosed } from "@flotilla/kit";
import { syncDirectory } from "../service/sync.ts";

/** A key signs for so long. Milliseconds. */
export const tokenKeyAgeMsMax = 30 * 86_400_000;
/** A key that signs no more verifies for so long: until its last token is over, four times over. Milliseconds. */
export const tokenKeyKeptMs = 3_600_000;
/** A key that a script added is noticed within this. Milliseconds. */
const lookMs = 60_000;
/** One that another instance has made and signed with, within this: a stranger may name keys all day. Milliseconds. */
const lookForMs = 1_000;

export interface TokenKey {
  readonly kid: string;
  readonly createdAtMs: number;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/**
 * The Ed25519 keys of access tokens. Changing the one that signs logs nobody out: the old one verifies on. Both methods
 * throw `internal`, with the fault as its cause, when a file cannot be read.
 */
export interface TokenKeys {
  /** The key that signs now; a new one, when the newest is too old. */
  current(): TokenKey;
  /** SECURITY: only keys that were read count. `kid` is looked up and nothing else: it is a stranger's text. */
  byId(kid: string): TokenKey | undefined;
}

const hasModes = process.platform !== "win32";
const fileName = /^(\d{1,15})\.([\w-]{16})\.key$/;

/**
 * The keys in `directory`, each in a file of its own, `MADE_AT_MS.KID.key` with mode 0600; the first is made when there is none.
 *
 * @throws FlotillaError `failed_precondition`, which names the file: one that other users can read (reason `file_open`), or
 *   that is damaged (`key_damaged`). One that is open to its group alone is closed, and `onClosed` hears of it.
 */
export function openTokenKeys(directory: string, clock: Clock, onClosed?: OnClosed): TokenKeys {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (hasModes) chmodSync(directory, 0o700);
  if (list(directory).length === 0) addTokenKey(directory, clock.now());
  let keys = read(directory, [], onClosed);
  let readAtMs = clock.now();
  let lookedForAtMs = Number.NEGATIVE_INFINITY;

  return {
    current() {
      const nowMs = clock.now();
      if (Math.abs(nowMs - readAtMs) >= lookMs) look(nowMs);
      const [newest] = keys;
      if (newest && nowMs - newest.createdAtMs < tokenKeyAgeMsMax) return newest;
      addTokenKey(directory, nowMs);
      look(nowMs);
      return keys[0]!;
    },
    byId(kid) {
      const known = keys.find((key) => key.kid === kid);
      const nowMs = clock.now();
      if (known || Math.abs(nowMs - lookedForAtMs) < lookForMs) return known;
      lookedForAtMs = nowMs;
      look(nowMs);
      return keys.find((key) => key.kid === kid);
    },
  };

  function look(nowMs: number): void {
    try {
      removeOld(directory, nowMs);
      keys = read(directory, keys, onClosed);
    } catch (cause) {
      // SECURITY: a caller waits for this; the path is for the log.
      throw new FlotillaError("internal", "The token keys cannot be read", { cause });
    }
    readAtMs = nowMs;
  }
}

/** Adds the key that signs from now on, within a minute also in a service that runs. For a script, too. @returns its kid. */
export function addTokenKey(directory: string, nowMs: number): string {
  const kid = randomBytes(12).toString("base64url");
  const { privateKey } = generateKeyPairSync("ed25519");
  const draft = join(directory, `${kid}.draft`);
  writeFileSync(draft, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600, flag: "wx", flush: true });
  // By its name a file is known to be whole.
  renameSync(draft, join(directory, `${nowMs}.${kid}.key`));
  syncDirectory(directory);
  return kid;
}

/** Newest first. */
function list(directory: string): { file: string; kid: string; createdAtMs: number }[] {
  return readdirSync(directory)
    .flatMap((file) => {
      const [, madeAt, kid] = fileName.exec(file) ?? [];
      return madeAt !== undefined && kid !== undefined ? [{ file, kid, createdAtMs: Number(madeAt) }] : [];
    })
    .sort((a, b) => b.createdAtMs - a.createdAtMs || (a.kid < b.kid ? 1 : -1));
}

function read(directory: string, known: readonly TokenKey[], onClosed: OnClosed | undefined): TokenKey[] {
  return list(directory).map(({ file, kid, createdAtMs }) => {
    const key = known.find((it) => it.kid === kid);
    if (key) return key;
    const path = join(directory, file);
    const refusal = "is readable by other users: delete it, and a new key is made; nobody is logged out by it";
    assertPrivate(path, { refusal, onClosed });
    const privateKey = readKey(path);
    return { kid, createdAtMs, privateKey, publicKey: createPublicKey(privateKey) };
  });
}

function readKey(path: string): KeyObject {
  try {
    return createPrivateKey(readFileSync(path));
  } catch (cause) {
    const message = `${path} is damaged: delete it, and a new key is made; nobody is logged out by it`;
    throw new FlotillaError("failed_precondition", message, { reason: "key_damaged", cause });
  }
}

/** A key has signed until the next one was there. */
function removeOld(directory: string, nowMs: number): void {
  const listed = list(directory);
  for (const [index, { file }] of listed.entries()) {
    const next = listed[index - 1];
    // Another instance may have done it meanwhile.
    if (next && next.createdAtMs + tokenKeyKeptMs <= nowMs) rmSync(join(directory, file), { force: true });
  }
}
