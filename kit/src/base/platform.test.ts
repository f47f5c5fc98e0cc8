import { describe, expect, test } from "vitest";
import * as node from "./platform.ts";
import * as browser from "./platform-browser.ts";

describe.each([
  ["Node", node],
  ["a browser", browser],
])("on %s", (_, platform) => {
  test("random texts have the asked length and never come twice", () => {
    const texts = Array.from({ length: 1_000 }, () => [platform.randomHex(8), platform.randomBase64url(18)] as const);
    for (const [hex, base64url] of texts) {
      expect(hex).toMatch(/^[0-9a-f]{16}$/);
      expect(base64url).toMatch(/^[\w-]{24}$/);
    }
    expect(new Set(texts.flat()).size).toBe(2_000);
  });

  test("a stored value holds while `run` does, within one of another too, and not afterwards", () => {
    const storage = platform.makeStorage<string>();
    const seen = storage.run("outer", () => [storage.run("inner", () => storage.getStore()), storage.getStore()]);
    expect(seen).toEqual(["inner", "outer"]);
    expect(() =>
      storage.run("outer", () => {
        throw new Error("thrown on purpose");
      }),
    ).toThrow("on purpose");
    expect(storage.getStore()).toBeUndefined();
  });

  test("what is to run after a turn runs once, in order, and after what was promised in it", async () => {
    const ran: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    platform.afterTurn(() => ran.push("first"));
    platform.afterTurn(() => {
      ran.push("second");
      resolve();
    });
    await Promise.resolve().then(() => ran.push("promised"));
    expect(ran).toEqual(["promised"]);
    await promise;
    expect(ran).toEqual(["promised", "first", "second"]);
  });
});
