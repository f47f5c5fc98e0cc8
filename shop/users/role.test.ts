import { expect, it } from "vitest";
import { isPermission, isRoleName, permissions, sortedPermissions } from "./role.ts";

it.each(["", "order", "ORDER.CREATE", "order.create ", "*", "constructor", "__proto__"])(
  "%j is no permission",
  (word) => {
    expect(isPermission(word)).toBe(false);
    expect(sortedPermissions([word])).toEqual([]);
  },
);

it("permissions are told once, and in one order", () => {
  expect(sortedPermissions([...permissions, ...permissions].reverse())).toEqual(permissions);
});

it.each(["a", "A1", "1a", "_a", "a b", "a".repeat(33), "constructor\n", "\u0430dmin"])(
  "%j is no name of a role",
  (name) => {
    expect(isRoleName(name)).toBe(false);
  },
);

it.each(["user", "shop-keeper_2", "a".repeat(32)])("%j may be one", (name) => {
  expect(isRoleName(name)).toBe(true);
});
