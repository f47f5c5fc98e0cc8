import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readSettings } from "./settings.ts";

const url = "postgres://shop:hunter2@db.example/orders";

test("a store is a file unless a URL is given, and each service has its own", () => {
  expect(readSettings("orders", {}).store).toBeUndefined();
  expect(String(readSettings("orders", { FLOTILLA_ORDERS_STORE: url }).store)).toContain("db.example/orders");
  expect(readSettings("users", { FLOTILLA_ORDERS_STORE: url }).store).toBeUndefined();
  expect(JSON.stringify(readSettings("orders", { FLOTILLA_ORDERS_STORE: url }))).not.toContain("hunter2");
});

test("a URL may be in a file, which keeps it out of the environment", () => {
  const directory = mkdtempSync(join(tmpdir(), "flotilla-setting-"));
  try {
    const file = join(directory, "store");
    writeFileSync(file, `${url}\n`);
    const env = { FLOTILLA_ORDERS_STORE_FILE: file };
    expect(String(readSettings("orders", env).store)).toContain("db.example/orders");
    const both = { ...env, FLOTILLA_ORDERS_STORE: url };
    expect(() => readSettings("orders", both)).toThrow("there is a FLOTILLA_ORDERS_STORE_FILE too");
    writeFileSync(file, "hunter2");
    expect(() => readSettings("orders", env)).toThrow(/^FLOTILLA_ORDERS_STORE_FILE: (?!.*hunter2)/);
  } finally {
    rmSync(directory, { recursive: true });
  }
  expect(() => readSettings("orders", { FLOTILLA_ORDERS_STORE_FILE: "/nowhere/store" })).toThrow(
    'FLOTILLA_ORDERS_STORE_FILE: "/nowhere/store" cannot be read',
  );
});

test("a URL is decoded strictly: without a byte order mark or the end of its line, and never with a password that nobody wrote", () => {
  const directory = mkdtempSync(join(tmpdir(), "flotilla-setting-"));
  try {
    const file = join(directory, "store");
    const env = { FLOTILLA_ORDERS_STORE_FILE: file };
    writeFileSync(file, `\uFEFF${url}\r\n`);
    expect(String(readSettings("orders", env).store)).toContain("db.example/orders");
    writeFileSync(file, Buffer.from("postgres://shop:h\u00fcnter2@db.example/orders", "latin1"));
    expect(() => readSettings("orders", env)).toThrow(
      `FLOTILLA_ORDERS_STORE_FILE: ${JSON.stringify(file)} is not valid UTF-8`,
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
  const undecoded = { FLOTILLA_ORDERS_STORE: "postgres://shop:h\uFFFDnter2@db.example/orders" };
  expect(() => readSettings("orders", undecoded)).toThrow(/^FLOTILLA_ORDERS_STORE is not valid UTF-8$/);
});

test("a URL that is none is named with what else is wrong, and without a word of it", () => {
  const env = { FLOTILLA_ORDERS_STORE: "mysql://shop:hunter2@a/orders", FLOTILLA_MODE: "debug" };
  expect(() => readSettings("orders", env)).toThrow(/^(?!.*hunter2).*FLOTILLA_MODE.*FLOTILLA_ORDERS_STORE/s);
});
