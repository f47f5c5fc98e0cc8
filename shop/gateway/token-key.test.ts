import { expect, test } from "vitest";
import { keyOf } from "./token-key.ts";

test("each token has a key of its own, from which nobody gets it back, however they take turns", () => {
  const keys = ["", "a", "b", "a", "", "b"].map(keyOf);
  expect(new Set(keys).size).toBe(3);
  expect([keys[0], keys[1], keys[2]]).toEqual([keys[4], keys[3], keys[5]]);
  for (const key of keys) expect(key).toMatch(/^[\w-]{43}$/);
});
