import { expect, test } from "vitest";
import { makeUserCapabilities } from "./user-capabilities.ts";

test("a place is given back once, and frees no other when it is given back again", () => {
  const capabilities = makeUserCapabilities(2);
  const [give] = [capabilities.take("user2"), capabilities.take("user2")];
  give();
  give();
  capabilities.take("user2");
  expect(() => capabilities.take("user2")).toThrow(expect.objectContaining({ reason: "capability_limit" }));
});
