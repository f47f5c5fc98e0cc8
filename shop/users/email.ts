import { FlotillaError } from "@flotilla/kit";

/** One `@`, something on both sides, nothing invisible: whether mail arrives there only mail can tell. */
const shape = /^[^\s@\p{Cc}\p{Cf}]+@[^\s@\p{Cc}\p{Cf}]+$/u;

/** Throws `invalid_argument`. */
export function assertEmail(email: string): void {
  if (email.isWellFormed() && email.normalize("NFC") === email && shape.test(email)) return;
  throw new FlotillaError("invalid_argument", "This is no e-mail address", { reason: "email_malformed" });
}
