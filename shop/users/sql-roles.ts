import { run, type Work } from "../service/database.ts";
import { adminRole, defaultRole, type Permission, type Role, sortedPermissions } from "./role.ts";
import { record } from "./sql-audit.ts";
import { type RoleStore, refusals } from "./store.ts";
import type { Build, Db } from "./tables.ts";

export function roleStore(db: Db): RoleStore {
  const { build } = db;
  return {
    async listRoles() {
      const roles = build.selectFrom("roles").leftJoin("role_permissions", "role_permissions.role", "roles.name");
      const rows = await db.read(roles.select(["name", "permission"]).orderBy("name"));
      const byName = Map.groupBy(rows, ({ name }) => name);
      return [...byName].map(([name, granted]) => ({
        name,
        permissions: sortedPermissions(granted.flatMap(({ permission }) => permission ?? [])),
      }));
    },
    createRole: ({ name, permissions }, by) =>
      db.unit(function* () {
        if (yield* exists(build, name)) throw refusals.roleTaken();
        yield* run(build.insertInto("roles").values({ name }));
        const role = yield* grant(build, name, permissions);
        yield* record(build, "role_created", { by, detail: described(role) });
        return role;
      }),
    deleteRole: (name, by) =>
      db.unit(function* () {
        if (!(yield* exists(build, name))) throw refusals.noRole();
        if (name === adminRole || name === defaultRole) throw refusals.roleStays();
        const holders = build.selectFrom("accounts").select("number").where("role", "=", name).limit(1);
        if ((yield* run(holders)).length > 0) throw refusals.roleInUse();
        yield* run(build.deleteFrom("roles").where("name", "=", name));
        yield* record(build, "role_deleted", { by, detail: name });
      }),
    setRolePermissions: (name, permissions, by) =>
      db.unit(function* () {
        if (!(yield* exists(build, name))) throw refusals.noRole();
        if (name === adminRole && !permissions.includes("system.admin")) throw refusals.adminRoleStays();
        const role = yield* grant(build, name, permissions);
        yield* record(build, "role_permissions_set", { by, detail: described(role) });
        return role;
      }),
  };
}

function* exists(build: Build, name: string): Work<boolean> {
  return (yield* run(build.selectFrom("roles").select("name").where("name", "=", name))).length > 0;
}

function* grant(build: Build, role: string, words: readonly Permission[]): Work<Role> {
  const permissions = sortedPermissions(words);
  yield* run(build.deleteFrom("role_permissions").where("role", "=", role));
  for (const permission of permissions) yield* run(build.insertInto("role_permissions").values({ role, permission }));
  return { name: role, permissions };
}

function described({ name, permissions }: Role): string {
  return `${name}: ${permissions.join(" ") || "nothing"}`;
}
