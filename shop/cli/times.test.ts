import { expect, test } from "vitest";
import { parseItem } from "./items.ts";
import { parseCount, parseDuration, spanText, timeText } from "./times.ts";

test.each([
  ["10", 10_000],
  ["1.5s", 1_500],
  ["500ms", 500],
  ["2m", 120_000],
  ["1h", 3_600_000],
])("%s is %i ms", (text, ms) => expect(parseDuration("--timeout", text)).toBe(ms));

test.each(["", "0", "-1", "soon", "2h", "1e3", "10 s", "99999999"])("%j is no time", (text) => {
  expect(() => parseDuration("--timeout", text)).toThrow("--timeout takes a time such as 500ms, 10s or 2m");
});

test.each(["0", "1001", "1.5", "-1", "", "x"])("%j is no count from 1 to 1000", (text) => {
  expect(() => parseCount("--limit", text, { max: 1_000 })).toThrow("--limit takes a whole number from 1 to 1000");
});

test("times are shown as they are here", () => {
  expect(timeText(new Date(2026, 0, 2, 3, 4, 5).getTime())).toBe("2026-01-02 03:04:05");
  expect([500, 59_000, 61_000, 7_200_000, 2 * 86_400_000].map(spanText)).toEqual([
    ...["1 second", "59 seconds", "1 minute", "2 hours", "2 days"],
  ]);
});

test("an item is its name, which may have colons, and two numbers", () => {
  expect(parseItem("Laptop:1:999.99")).toEqual({ name: "Laptop", quantity: 1, price: 999.99 });
  expect(parseItem("a:b:c:2:5")).toEqual({ name: "a:b:c", quantity: 2, price: 5 });
});

test.each(["Laptop", "Laptop:1", ":1:2", "Laptop:x:1", "Laptop:1:-5", "Laptop:1:1.234", "Laptop:1e3:1"])(
  "%j is no item",
  (word) => expect(() => parseItem(word)).toThrow("An item is NAME:QUANTITY:PRICE"),
);
