import { expect, it } from "vitest";
import { type Permission, permissions, roleAllows } from "./role.ts";

const ofUser: readonly Permission[] = ["order.create", "order.view", "profile.edit"];

it.each(permissions)("an admin has %s", (permission) => {
  expect(roleAllows("admin", permission)).toBe(true);
});

it.each(permissions)("a user has %s only if the specification lists it", (permission) => {
  expect(roleAllows("user", permission)).toBe(ofUser.includes(permission));
});

it.each(["", "order", "ORDER.CREATE", "order.create ", "*", "constructor", "__proto__"])(
  "nobody has %j, which is no permission",
  (word) => {
    expect(roleAllows("admin", word)).toBe(false);
    expect(roleAllows("user", word)).toBe(false);
  },
);
