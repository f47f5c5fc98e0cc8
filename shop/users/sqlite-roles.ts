import { adminRole, defaultRole, type Permission, type Role, sortedPermissions } from "./role.ts";
import { record } from "./sqlite-audit.ts";
import { type RoleStore, refusals } from "./store.ts";
import { type Db, readOf, type Unit, unitOf } from "./tables.ts";

export function roleStore(db: Db): RoleStore {
  return {
    listRoles: () =>
      readOf(db, ({ build, run }) => {
        const granted = run(build.selectFrom("role_permissions").selectAll());
        return run(build.selectFrom("roles").selectAll().orderBy("name")).map(({ name }) => ({
          name,
          permissions: sortedPermissions(granted.filter(({ role }) => role === name).map((it) => it.permission)),
        }));
      }),
    createRole: ({ name, permissions }, by) =>
      unitOf(db, (unit) => {
        if (exists(unit, name)) throw refusals.roleTaken();
        unit.run(unit.build.insertInto("roles").values({ name }));
        const role = grant(unit, name, permissions);
        record(unit, "role_created", { by, detail: described(role) });
        return role;
      }),
    deleteRole: (name, by) =>
      unitOf(db, (unit) => {
        const { build, run } = unit;
        if (!exists(unit, name)) throw refusals.noRole();
        if (name === adminRole || name === defaultRole) throw refusals.roleStays();
        const holders = build.selectFrom("accounts").select("number").where("role", "=", name).limit(1);
        if (run(holders).length > 0) throw refusals.roleInUse();
        run(build.deleteFrom("roles").where("name", "=", name));
        record(unit, "role_deleted", { by, detail: name });
      }),
    setRolePermissions: (name, permissions, by) =>
      unitOf(db, (unit) => {
        if (!exists(unit, name)) throw refusals.noRole();
        if (name === adminRole && !permissions.includes("system.admin")) throw refusals.adminRoleStays();
        const role = grant(unit, name, permissions);
        record(unit, "role_permissions_set", { by, detail: described(role) });
        return role;
      }),
  };
}

function exists({ build, run }: Unit, name: string): boolean {
  return run(build.selectFrom("roles").select("name").where("name", "=", name)).length > 0;
}

function grant({ build, run }: Unit, role: string, words: readonly Permission[]): Role {
  const permissions = sortedPermissions(words);
  run(build.deleteFrom("role_permissions").where("role", "=", role));
  for (const permission of permissions) run(build.insertInto("role_permissions").values({ role, permission }));
  return { name: role, permissions };
}

function described({ name, permissions }: Role): string {
  return `${name}: ${permissions.join(" ") || "nothing"}`;
}
