import { expect, it } from "vitest";
import { hashToken, isTokenShaped, newToken } from "./token.ts";

it("a token is 43 characters of base64url, and no two are alike", () => {
  const tokens = Array.from({ length: 1_000 }, newToken);
  expect(tokens.every(isTokenShaped)).toBe(true);
  expect(new Set(tokens).size).toBe(1_000);
});

it("the hash of a token is SHA-256", () => {
  expect(hashToken("abc")).toBe("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
});

it.each(["", "invalid_token", "token_bob_0", `${newToken()}\n`, `${newToken()}A`, newToken().slice(1), "é".repeat(43)])(
  "%j is not shaped like a token",
  (text) => {
    expect(isTokenShaped(text)).toBe(false);
  },
);
