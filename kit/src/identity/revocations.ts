import { createPublicKey } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isServiceName } from "../base/ids.ts";
import { keyFileOf, readKey } from "./identity.ts";
import { rotateKey } from "./keys.ts";
import {
  addTrust,
  isRevoked,
  type KeyWord,
  readBytes,
  readTrust,
  revocationsIn,
  trustFileName,
  wordOf,
} from "./trust.ts";

/** Keys that `carryRevocations` changed. */
export interface Carried {
  /** Keys that are revoked now and were not before. */
  readonly revoked: readonly { readonly name: string; readonly key: KeyWord }[];
  /** Services whose own key was among them: each has its next one, which other machines have to trust. */
  readonly renewed: readonly string[];
}

/**
 * Revokes in the directory of keys `to` what is revoked in any of the directories `from`, so that older keys can take the
 * place of newer ones. A trust file in `from` that is missing has none; of a damaged one the whole lines count.
 *
 * @throws FlotillaError `failed_precondition`, reason `trust_file`, when the trust file in `to` is damaged.
 */
export function carryRevocations(from: readonly string[], to: string): Carried {
  const revoked: { name: string; key: KeyWord }[] = [];
  for (const { name, key, comment } of from.flatMap((directory) => revocationsOf(directory))) {
    if (isRevoked(readTrust(to), key)) continue;
    addTrust(to, { verb: "revoke", name, key, comment });
    revoked.push({ name, key });
  }
  const renewed = revoked.length === 0 ? [] : namesWithKey(to).filter((name) => hasRevokedKey(to, name));
  for (const name of renewed) rotateKey(to, name);
  return { revoked, renewed };
}

function revocationsOf(directory: string) {
  // Verbs, names and keys are ASCII, so a comment in another encoding damages no line.
  return revocationsIn(readBytes(join(directory, trustFileName))?.toString("latin1") ?? "");
}

function namesWithKey(directory: string): string[] {
  const names = readdirSync(directory).map((file) => /^(.*)\.key$/.exec(file)?.[1]);
  return names.filter((name): name is string => isServiceName(name));
}

function hasRevokedKey(directory: string, name: string): boolean {
  const key = readKey(keyFileOf(directory, name));
  return key !== undefined && isRevoked(readTrust(directory), wordOf(createPublicKey(key)));
}
