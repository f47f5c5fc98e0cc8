import { expect, test } from "vitest";
import { RecentlyUsed } from "./recently-used.ts";

const kept = (table: RecentlyUsed<string>) => [..."abcd"].filter((key) => table.get(key, 0) !== undefined).join("");

test("the entry that was used last goes last, to the second", () => {
  const table = new RecentlyUsed<string>(2);
  table.set("a", "1", 0);
  table.set("b", "1", 0);
  table.get("a", 1_000);
  table.set("c", "1", 1_000);
  expect(kept(table)).toBe("ac");
});

test("within a second the order is that of the first uses", () => {
  const table = new RecentlyUsed<string>(2);
  table.set("a", "1", 0);
  table.set("b", "1", 0);
  table.get("a", 999);
  table.set("c", "1", 999);
  expect(kept(table)).toBe("bc");
});

test("an entry that was moved is moved again a second later, and one that is set anew stands last", () => {
  const table = new RecentlyUsed<string>(2);
  table.set("a", "1", 0);
  table.get("a", 1_000);
  table.set("b", "1", 1_500);
  table.get("a", 1_999);
  table.set("a", "2", 1_999);
  table.set("c", "1", 1_999);
  expect([kept(table), table.get("a", 1_999)]).toEqual(["ac", "2"]);
});
