import { describe, expect, it } from "vitest";
import { originOf, shownOrigin } from "./origins.ts";

describe("an origin in the settings", () => {
  it.each([
    ["https://shop.example", "https://shop.example"],
    ["https://shop.example/", "https://shop.example"],
    ["HTTPS://Shop.Example", "https://shop.example"],
    ["https://shop.example:443", "https://shop.example"],
    ["http://shop.example:80/", "http://shop.example"],
    ["https://shop.example:8443", "https://shop.example:8443"],
    ["https://bücher.example", "https://xn--bcher-kva.example"],
    ["http://[::1]:3000", "http://[::1]:3000"],
    ["http://localhost:5173", "http://localhost:5173"],
  ])("of the web, %s, is spelt as browsers spell it", (text, origin) => {
    expect(originOf(text)).toBe(origin);
  });

  it.each([
    ["capacitor://localhost", "capacitor://localhost"],
    ["ionic://localhost/", "ionic://localhost"],
    ["tauri://localhost", "tauri://localhost"],
    ["app://com.shop.desk", "app://com.shop.desk"],
    ["Chrome-Extension://abcdefghijklmnopabcdefghijklmnop", "chrome-extension://abcdefghijklmnopabcdefghijklmnop"],
    ["moz-extension://a1b2c3d4-0000-4000-8000-0123456789ab", "moz-extension://a1b2c3d4-0000-4000-8000-0123456789ab"],
    ["custom+scheme://Localhost:3000", "custom+scheme://localhost:3000"],
  ])("of an app, %s, can be listed", (text, origin) => {
    expect(originOf(text)).toBe(origin);
  });

  it.each([
    ["*", "it begins with a scheme, as in https://shop.example"],
    ["null", "it begins with a scheme, as in https://shop.example"],
    ["shop.example", "it begins with a scheme, as in https://shop.example"],
    ["localhost:3000", "it begins with a scheme, as in https://shop.example"],
    ["//shop.example", "it begins with a scheme, as in https://shop.example"],
    ["https:shop.example", "it begins with a scheme, as in https://shop.example"],
    ["*.shop.example", "it begins with a scheme, as in https://shop.example"],
    ["https://*.shop.example", "there are no wildcards: list each origin by its name"],
    ["chrome-extension://*", "there are no wildcards: list each origin by its name"],
    ["https://shop.example/path", "it ends with the host: https://shop.example"],
    ["https://Shop.example:443//", "it ends with the host: https://shop.example"],
    ["https://shop.example?a", "it ends with the host: https://shop.example"],
    ["https://shop.example/#", "it ends with the host: https://shop.example"],
    ["capacitor://localhost/index.html", "it ends with the host: capacitor://localhost"],
    ["https://bob:secret@shop.example", "a host follows the scheme, as in https://shop.example"],
    ["capacitor://", "a host follows the scheme, as in https://shop.example"],
    ["https:///", "a host follows the scheme, as in https://shop.example"],
    ["https://shop example", "its host cannot be, expected one such as in https://shop.example:8443"],
    ["https://shop.example:99999", "its host cannot be, expected one such as in https://shop.example:8443"],
    ["tauri://local%20host", "its host cannot be, expected one such as in https://shop.example:8443"],
    ["wss://shop.example", "it begins with https://, http:// or the scheme of an app, as in https://shop.example"],
    ["htps://shop.example", "it begins with https://, http:// or the scheme of an app, as in https://shop.example"],
    ["file://host/page.html", "it begins with https://, http:// or the scheme of an app, as in https://host"],
    ["file:///", "it begins with https://, http:// or the scheme of an app, as in https://shop.example"],
  ])("such as %s matches nothing, and is refused with the right form", (text, expected) => {
    expect(() => originOf(text)).toThrow(new TypeError(`${JSON.stringify(text)} is no origin of a page: ${expected}`));
  });
});

it("an origin for a log is printable and short, whatever a stranger sends", () => {
  expect(shownOrigin("https://evil.example")).toBe("https://evil.example");
  expect(shownOrigin("\x1b[2Jé\x9b \u2028")).toBe("\\x1b[2J\\xe9\\x9b\\x20\\x2028");
  expect(shownOrigin("x".repeat(10_000))).toBe(`${"x".repeat(100)}...`);
});
