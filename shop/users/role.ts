/** Every permission there is. A word that is not here is granted to nobody. */
export const permissions = [
  "order.create",
  "order.view",
  "profile.edit",
  "user.create",
  "user.delete",
  "order.cancel",
  "system.admin",
] as const;

export type Permission = (typeof permissions)[number];

export const roles = ["admin", "user"] as const;

export type Role = (typeof roles)[number];

const granted: { readonly [role in Role]: ReadonlySet<string> } = {
  admin: new Set(permissions),
  user: new Set<Permission>(["order.create", "order.view", "profile.edit"]),
};

/** Whether `role` has `permission`, which may be any text: what is not a permission is denied, to an admin too. */
export function roleAllows(role: Role, permission: string): boolean {
  return granted[role].has(permission);
}
