import { expect, it } from "vitest";
import { hashesOf, newRefreshToken, newSalt, successorOf } from "./refresh-token.ts";

it("no two are alike, in any of their characters' places", () => {
  const tokens = Array.from({ length: 1_000 }, newRefreshToken);
  expect(tokens.every((token) => /^[\w-]{64}$/.test(token))).toBe(true);
  expect(new Set(tokens).size).toBe(1_000);
  for (let at = 0; at < 64; at++) expect(new Set(tokens.map((token) => token[at])).size).toBeGreaterThan(50);
});

it("a successor is of the same family, and another under another salt", () => {
  const token = newRefreshToken();
  const [one, two] = [newSalt(), newSalt()];
  expect(successorOf(token, one)).toBe(successorOf(token, one));
  expect(successorOf(token, one)).not.toBe(successorOf(token, two));
  expect(hashesOf(successorOf(token, one))?.familyHash).toBe(hashesOf(token)?.familyHash);
  expect(hashesOf(successorOf(token, one))?.refreshHash).not.toBe(hashesOf(token)?.refreshHash);
  expect(hashesOf(newRefreshToken())?.familyHash).not.toBe(hashesOf(token)?.familyHash);
});

it("what is kept of a token does not contain it", () => {
  const token = newRefreshToken();
  const kept = JSON.stringify({ ...hashesOf(token), salt: newSalt() });
  for (let at = 0; at < 56; at++) expect(kept).not.toContain(token.slice(at, at + 8));
});

it.each([
  "",
  "token_bob_0",
  `${newRefreshToken()}A`,
  newRefreshToken().slice(1),
  "é".repeat(64),
  `${newRefreshToken()}\n`,
])("%j is shaped like none", (text) => {
  expect(hashesOf(text)).toBeUndefined();
});
