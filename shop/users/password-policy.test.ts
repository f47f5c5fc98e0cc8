import { expect, it } from "vitest";
import { commonPasswords } from "./common-passwords.ts";
import { assertAcceptablePassword, passwordCharsMin } from "./password-policy.ts";

const bob = { username: "bob", email: "bob.smith@example.com" };
const check = (password: string) => () => assertAcceptablePassword(password, bob);

it.each([
  ["8 characters", "xk3 Q9-p"],
  ["64", "x1y2".repeat(16)],
  ["1,024", "x1y2".repeat(256)],
  ["spaces", "a horse in the rain"],
  ["other scripts", "пароль-моряка"],
  ["emoji, each a character", "🐙🐌🦀🐠🐡🦈🐬🐳"],
  ["its name within more", "bobsledding"],
])("%s will do", (_, password) => {
  expect(check(password)).not.toThrow();
});

it.each([
  ["password_too_short", "xk3 Q9-"],
  ["password_too_short", "🐙🐌🦀🐠🐡🦈🐬"],
  ["password_too_short", "e\u0301".repeat(7)],
  ["password_too_long", "x".repeat(1_025)],
  ["password_common", "password"],
  ["password_common", "Password1"],
  ["password_common", "QWERTYUIOP"],
  ["password_common", "zzzzzzzzzzzz"],
  ["password_guessable", "BobBobBob"],
  ["password_guessable", "bob.smith@example.com"],
  ["password_guessable", "Bob.Smith1"],
  ["password_guessable", "flotilla2026"],
  ["password_malformed", "\ud800 is no text"],
])("%s: %j", (reason, password) => {
  expect(check(password)).toThrow(expect.objectContaining({ code: "invalid_argument", reason }));
});

it("the list holds a hundred and more that the length alone would let through", () => {
  expect(commonPasswords.size).toBeGreaterThan(100);
  for (const word of commonPasswords) {
    expect(word.length).toBeGreaterThanOrEqual(passwordCharsMin);
    expect(word).toBe(word.toLowerCase());
  }
});
