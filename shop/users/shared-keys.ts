import { createPublicKey, type KeyObject } from "node:crypto";
import type { Clock } from "@flotilla/kit";
import type { AccessTokenKeys } from "./access-token.ts";
import type { KeyStore } from "./store.ts";
import { type TokenKeys, tokenKeyKeptMs } from "./token-keys.ts";

/** Who signs says so this often, in milliseconds: often enough that a key is known until its last token is over. */
const publishMs = 600_000;
/** A key that was withdrawn is noticed within this. Milliseconds. */
const lookMs = 60_000;
/** A kid that nobody knows, which anybody can make up, brings a look at most this often. Milliseconds. */
const missMs = 100;

export interface SharedKeysDeps {
  /** Of this instance, in its own data directory. */
  readonly own: TokenKeys;
  readonly store: KeyStore;
  readonly clock: Clock;
}

/**
 * Keys of several instances that share a store and nothing else: each signs with its own, whose private half leaves its
 * data directory never, and verifies by the public halves that all of them publish. One that nobody has said for an hour
 * that he signs with is forgotten. The first `current` publishes.
 */
export function shareTokenKeys({ own, store, clock }: SharedKeysDeps): AccessTokenKeys {
  let published: { readonly kid: string; readonly atMs: number } | undefined;
  let others = new Map<string, KeyObject>();
  let readAtMs = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;

  async function read(): Promise<void> {
    const nowMs = clock.now();
    const found = await store.publishedKeys(nowMs - tokenKeyKeptMs);
    others = new Map(found.map(({ kid, publicKey }) => [kid, others.get(kid) ?? parse(publicKey)]));
    readAtMs = nowMs;
  }

  return {
    async current() {
      const key = own.current();
      const nowMs = clock.now();
      if (published?.kid === key.kid && Math.abs(nowMs - published.atMs) < publishMs) return key;
      const publicKey = key.publicKey.export({ type: "spki", format: "der" }).toString("base64url");
      await store.publishKey({ kid: key.kid, publicKey }, { nowMs, forgetBeforeMs: nowMs - tokenKeyKeptMs });
      const before = published;
      published = { kid: key.kid, atMs: nowMs };
      // Taken out of the directory, because somebody else may have it.
      if (before && !own.byId(before.kid)) await store.withdrawKey(before.kid);
      return key;
    },
    async byId(kid) {
      const mine = own.byId(kid);
      if (mine) return mine;
      const ageMs = Math.abs(clock.now() - readAtMs);
      if (ageMs >= (others.has(kid) ? lookMs : missMs)) {
        reading ??= read().finally(() => {
          reading = undefined;
        });
        await reading;
      }
      const publicKey = others.get(kid);
      return publicKey && { publicKey };
    },
  };
}

function parse(publicKey: string): KeyObject {
  return createPublicKey({ key: Buffer.from(publicKey, "base64url"), type: "spki", format: "der" });
}
