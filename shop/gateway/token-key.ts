import { hash } from "node:crypto";

let lastToken: string | undefined;
let lastKey = "";

/**
 * The hash of a token, which stands for it in tables that outlive the call. The same call asks for it more than once, so
 * the last one is kept.
 */
export function keyOf(token: string): string {
  if (token !== lastToken) {
    lastKey = hash("sha256", token, "base64url");
    lastToken = token;
  }
  return lastKey;
}
