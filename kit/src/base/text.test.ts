import { describe, expect, it } from "vitest";
import { decodeText } from "./text.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

describe("text from outside", () => {
  it("is decoded as UTF-8, with a byte order mark at its start dropped and one elsewhere kept", () => {
    expect(decodeText(bytes(0xef, 0xbb, 0xbf, 0xc3, 0xa4, 0xef, 0xbb, 0xbf), "The body")).toBe("ä\uFEFF");
  });

  it.each([
    ["a byte that never occurs", bytes(0x61, 0xff)],
    ["Latin-1", bytes(0xe4, 0x62)],
    ["an overlong form", bytes(0xc0, 0xaf)],
    ["a surrogate", bytes(0xed, 0xa0, 0x80)],
    ["a sequence that is cut off", bytes(0xe2, 0x82)],
  ])("is refused, not repaired, when it holds %s", (_, value) => {
    expect(() => decodeText(value, "The body")).toThrow(
      expect.objectContaining({ code: "invalid_argument", message: "The body is not valid UTF-8" }),
    );
  });
});
