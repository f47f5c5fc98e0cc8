import { createHash, randomBytes } from "node:crypto";

/** A login ends by itself after a working day. Milliseconds. */
export const tokenLifetimeMsDefault = 8 * 3_600_000;

/** 256 random bits: nobody guesses one, so one fast hash is enough for keeping it. */
const tokenBytes = 32;
const tokenShape = /^[A-Za-z0-9_-]{43}$/;

/** What a login is proved by: 43 characters of base64url. SECURITY: it is shown to its owner once and never kept. */
export function newToken(): string {
  return randomBytes(tokenBytes).toString("base64url");
}

/** SHA-256 in base64url: what a store keeps and looks up in place of the token. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("base64url");
}

/** Whether `text` could be one of our tokens; what could not is refused without a look-up. */
export function isTokenShaped(text: string): boolean {
  return tokenShape.test(text);
}
