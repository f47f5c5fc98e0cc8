import { FlotillaError } from "@flotilla/kit";
import { commonPasswords } from "./common-passwords.ts";
import { passwordCharsMax } from "./password.ts";

/**
 * Code points. NIST 800-63B-4 asks for 15 where a password is all there is, and for 8 beside a second factor. 8 is what
 * people's password managers and shops agree on; guessing is slowed by Argon2id, and limited at the gateway by account
 * and address.
 */
export const passwordCharsMin = 8;

/** What has to be left of a password without the words that everybody guesses first. Code points. */
const restMin = 5;
const productName = "flotilla";

/**
 * Throws `invalid_argument`, with a reason, for a password that nobody should choose: too short or too long, among the
 * most used, or little more than the account's own name, its e-mail or ours.
 */
export function assertAcceptablePassword(password: string, of: { username: string; email: string }): void {
  if (!password.isWellFormed()) throw refusal("password_malformed", "A password is text");
  if (password.length > passwordCharsMax) {
    throw refusal("password_too_long", `A password has at most ${passwordCharsMax} characters`);
  }
  const text = password.normalize("NFC");
  if (lengthOf(text) < passwordCharsMin) {
    throw refusal("password_too_short", `A password has at least ${passwordCharsMin} characters`);
  }
  const folded = text.toLowerCase();
  if (commonPasswords.has(folded) || new Set(folded).size === 1) {
    throw refusal("password_common", "This password is among the first that are guessed; choose another");
  }
  const email = of.email.normalize("NFC").toLowerCase();
  const words = [email, email.split("@")[0] ?? "", of.username, productName].filter((word) => word !== "");
  const rest = words.reduce((left, word) => left.replaceAll(word, ""), folded);
  if (rest !== folded && lengthOf(rest) < restMin) {
    throw refusal("password_guessable", "This password is little more than a name; choose another");
  }
}

function lengthOf(text: string): number {
  return [...text].length;
}

function refusal(reason: string, message: string): FlotillaError {
  return new FlotillaError("invalid_argument", message, { reason });
}
