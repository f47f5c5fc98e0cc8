/** Every permission there is. A word that is not here is granted to nobody, and cannot be. */
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

/** A role and what it grants, in the order of `permissions`. Roles are data: these words are only the seeded ones. */
export interface Role {
  readonly name: string;
  readonly permissions: readonly Permission[];
}

/** Keeps `system.admin`, and always has somebody who is enabled. */
export const adminRole = "admin";
/** What a new account has when nobody says otherwise; it cannot be deleted. */
export const defaultRole = "user";

const known: ReadonlySet<string> = new Set(permissions);

export function isPermission(word: string): word is Permission {
  return known.has(word);
}

export function isRoleName(name: string): boolean {
  return /^[a-z][a-z0-9_-]{1,31}$/.test(name);
}

/** `words` without repetitions and in the order of `permissions`; those that are none are left out. */
export function sortedPermissions(words: Iterable<string>): Permission[] {
  const granted = new Set(words);
  return permissions.filter((permission) => granted.has(permission));
}
