import { expect, test } from "vitest";
import { httpStatus } from "./http.ts";

test("a status is the reason's where HTTP has one, and else the code's, whatever the reason is", () => {
  expect(httpStatus("resource_exhausted", "body_too_large")).toBe(413);
  expect(httpStatus("unimplemented", "method_not_allowed")).toBe(405);
  for (const reason of [undefined, "overloaded", "constructor"]) expect(httpStatus("aborted", reason)).toBe(409);
});
