import { createPublicKey } from "node:crypto";
import { parseArgs } from "node:util";
import { FlotillaError, hasCode } from "../base/errors.ts";
import { isServiceName } from "../base/ids.ts";
import { keyFileOf, openIdentity, openKeys, readKey, replaceKey, today } from "./identity.ts";
import { addTrust, isRevoked, type KeyWord, keyOf, readTrust, trustedKeys, wordOf } from "./trust.ts";

/** What is known of one key of one service. */
export interface ListedKey {
  readonly name: string;
  readonly key: KeyWord;
  /** `current`: what the service on this machine signs with. `trusted` also stands for those of other machines. */
  readonly state: "current" | "trusted" | "revoked";
  readonly comment: string;
}

export function listKeys(directory: string): ListedKey[] {
  const lines = readTrust(directory);
  const seen = new Set<string>();
  return lines.flatMap(({ name, key, comment }) => {
    if (seen.has(`${name} ${key}`)) return [];
    seen.add(`${name} ${key}`);
    const state = isRevoked(lines, key) ? "revoked" : key === currentKey(directory, name) ? "current" : "trusted";
    return [{ name, key, state, comment } as const];
  });
}

/** Makes the next key of `name`. The one before stays trusted until it is revoked. @returns the new one. */
export function rotateKey(directory: string, name: string): KeyWord {
  assertName(name);
  openKeys(directory);
  let word = "";
  replaceKey(keyFileOf(directory, name), (publicKey) => {
    word = wordOf(publicKey);
    addTrust(directory, { verb: "trust", name, key: word, comment: today() });
  });
  return word;
}

/**
 * Revokes one key of `name`, or, without a key, all but the one it signs with. Sessions that it opened end within
 * `keyCheckMs`, and it opens none from now on. @returns the keys that were revoked.
 * @throws FlotillaError `not_found` when there is no such key; `failed_precondition` without a key when nobody here knows
 *   which one the service signs with.
 */
export function revokeKey(directory: string, name: string, key?: KeyWord): KeyWord[] {
  const trusted = trustedKeys(readTrust(directory), name);
  const current = currentKey(directory, name);
  if (key === undefined && current === undefined) {
    throw new FlotillaError("failed_precondition", `${name} signs on another machine: say which key`);
  }
  const revoked = trusted.filter((word) => (key === undefined ? word !== current : word === key));
  if (revoked.length === 0) throw new FlotillaError("not_found", `${name} has no such key that is trusted`);
  for (const word of revoked) addTrust(directory, { verb: "revoke", name, key: word, comment: today() });
  return revoked;
}

/** Trusts a key of a service on another machine, as `show` printed it there. */
export function trustKey(directory: string, name: string, key: KeyWord): void {
  assertName(name);
  assertKey(key);
  openKeys(directory);
  const lines = readTrust(directory);
  if (isRevoked(lines, key)) throw new FlotillaError("failed_precondition", "This key was revoked, and stays so");
  if (!trustedKeys(lines, name).includes(key)) addTrust(directory, { verb: "trust", name, key, comment: today() });
}

function currentKey(directory: string, name: string): KeyWord | undefined {
  const privateKey = readKey(keyFileOf(directory, name));
  return privateKey && wordOf(createPublicKey(privateKey));
}

function assertName(name: string): void {
  if (isServiceName(name)) return;
  throw new FlotillaError(
    "invalid_argument",
    `${JSON.stringify(name)} is no service's name: a letter, then a-z, 0-9, -`,
  );
}

function assertKey(key: string): void {
  try {
    if (/^[\w-]{43}$/.test(key) && wordOf(keyOf(key)) === key) return;
  } catch {
    // Said below.
  }
  throw new FlotillaError("invalid_argument", `${JSON.stringify(key)} is no key: 43 characters, as "show" prints it`);
}

const usage = `keys COMMAND
  list                 every key: whose, its state, since when
  create NAME          a key for NAME, if it has none, trusted here
  show NAME            the trusted keys of NAME, as "trust" takes them on another machine
  trust NAME KEY...    trusts keys of NAME that live on another machine
  rotate NAME          the next key of NAME; the one before stays trusted until it is revoked
  revoke NAME [KEY]    ends trust in KEY; without it, in all keys of NAME but the one it signs with
  --json               for programs`;

/** Options of `runKeys`: the arguments of a command line, and what it may touch. */
export interface KeysCommand {
  readonly directory: string;
  readonly args: readonly string[];
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/**
 * The command line for a directory of keys: list, create, show, trust, rotate and revoke; `--help` says what each does.
 *
 * @returns the exit code: 0, 1 when it could not be done, 2 for a wrong word.
 */
export function runKeys({ directory, args, out, err }: KeysCommand): 0 | 1 | 2 {
  try {
    const options = { json: { type: "boolean" }, help: { type: "boolean", short: "h" } } as const;
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const [command = "help", name = "", ...keys] = positionals;
    if (values.help || command === "help") {
      out(usage);
      return values.help || args.length > 0 ? 0 : 2;
    }
    const say = (data: unknown, text: string) => out(values.json ? JSON.stringify(data) : text);
    return run({ directory, command, name, keys, say });
  } catch (error) {
    err(error instanceof Error ? error.message : String(error));
    const isWord =
      hasCode(error, "invalid_argument") || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
    return isWord ? 2 : 1;
  }
}

interface Run {
  readonly directory: string;
  readonly command: string;
  readonly name: string;
  readonly keys: readonly string[];
  say(data: unknown, text: string): void;
}

function run({ directory, command, name, keys, say }: Run): 0 {
  const listed = (verb: string, words: readonly KeyWord[]) =>
    say(
      words.map((key) => ({ name, key })),
      words.map((key) => `${verb} ${name} ${key}`).join("\n"),
    );
  switch (command) {
    case "list": {
      const all = listKeys(directory);
      const widest = Math.max(...all.map((key) => key.name.length), 0);
      say(
        all,
        all.map((it) => `${it.name.padEnd(widest)}  ${it.key}  ${it.state.padEnd(7)}  ${it.comment}`).join("\n"),
      );
      return 0;
    }
    case "create":
      assertName(name);
      openIdentity(directory, name);
      listed("trust", [currentKey(directory, name)!]);
      return 0;
    case "show": {
      const trusted = trustedKeys(readTrust(directory), name);
      if (trusted.length === 0) throw new FlotillaError("not_found", `No key of ${name} is trusted here`);
      listed("trust", trusted);
      return 0;
    }
    case "trust":
      if (keys.length === 0) throw new FlotillaError("invalid_argument", "trust NAME KEY...: which key?");
      for (const key of keys) trustKey(directory, name, key);
      listed("trusted", keys);
      return 0;
    case "rotate":
      listed("trust", [rotateKey(directory, name)]);
      return 0;
    case "revoke":
      assertName(name);
      listed("revoked", revokeKey(directory, name, keys[0]));
      return 0;
    default:
      throw new FlotillaError("invalid_argument", `keys has no command ${JSON.stringify(command)}; see keys --help`);
  }
}
