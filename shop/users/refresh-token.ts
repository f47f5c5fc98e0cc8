import { createHash, createHmac, randomBytes } from "node:crypto";

/**
 * A refresh token is 16 random bytes that stay through all of a login's tokens (its family) and 32 that are new in each.
 * Only holders of a token of a login know its family, so whoever presents the family with other bytes presents a token
 * that was rotated, and the store needs to remember none of them.
 */
const familyBytes = 16;
const ownBytes = 32;
const shape = /^[A-Za-z0-9_-]{64}$/;

/** What a store keeps of a refresh token: SHA-256, because nobody guesses 256 random bits. */
export interface RefreshHashes {
  readonly familyHash: string;
  readonly refreshHash: string;
}

/** SECURITY: it is shown to its owner once and never kept. */
export function newRefreshToken(): string {
  return randomBytes(familyBytes + ownBytes).toString("base64url");
}

/** Undefined for what is shaped like no token of ours. */
export function hashesOf(token: string): RefreshHashes | undefined {
  if (!shape.test(token)) return undefined;
  return { familyHash: sha256(familyOf(token)), refreshHash: sha256(Buffer.from(token, "base64url")) };
}

/** 256 random bits that make the successor of one token another than that of any other rotation. */
export function newSalt(): string {
  return randomBytes(ownBytes).toString("base64url");
}

/**
 * What `token` is rotated to: HMAC-SHA256 of it under `salt`. So the same token gives the same successor while its salt
 * is kept, and no token has to be kept in clear. Who has read the store has the salt but no token; who has stolen a
 * token has no salt. Once the
 * time of grace is over a salt is not used again, and the login's next refresh removes it.
 */
export function successorOf(token: string, salt: string): string {
  const own = createHmac("sha256", Buffer.from(salt, "base64url")).update(Buffer.from(token, "base64url")).digest();
  return Buffer.concat([familyOf(token), own]).toString("base64url");
}

function familyOf(token: string): Buffer {
  return Buffer.from(token, "base64url").subarray(0, familyBytes);
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("base64url");
}
