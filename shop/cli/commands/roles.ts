import type { Role } from "../../contracts/administration.ts";
import type { CommandSpec } from "../command.ts";
import type { Terminal } from "../terminal.ts";
import { fields, lines, say, table } from "../text.ts";

const permissions = ["[permission...]", "such as order.create; none at all when left out"] as const;
const advice = {
  not_found: "`flotilla roles list` shows which there are",
  already_exists: "`flotilla roles set-permissions` changes one that is there",
  permission_unknown: "`flotilla roles list` shows the permissions there are, with the role admin",
  role_in_use: "Give its users another role first: `flotilla users set-role`",
};

export const roles: CommandSpec = {
  name: "roles",
  summary: "List and manage roles",
  about: "Roles take the permission system.admin. A change counts from the next call of whoever has the role.",
  examples: ["flotilla roles list", "flotilla roles create support order.view order.cancel"],
  commands: [
    {
      name: "list",
      summary: "List roles and what they may do",
      examples: ["flotilla roles list", "flotilla roles list --json"],
      calls: ["ApiGateway.listRoles"],
      async run({ terminal, shop }) {
        const list = await shop.callAs((gateway, token) => gateway.listRoles(token));
        const { paint, quiet } = terminal;
        terminal.result(list, () => {
          return quiet ? lines(list.map(({ name }) => name)) : table(list, columns, { paint, titles: true });
        });
      },
    },
    {
      name: "create",
      summary: "Make a role",
      args: [["<role>", "2 to 32 small letters, digits, - and _"], permissions],
      examples: ["flotilla roles create support order.view order.cancel"],
      calls: ["Administration.createRole"],
      advice,
      async run({ terminal, shop }, { args }) {
        const [name, words = []] = args as [string, string[] | undefined];
        const role = await shop.callAs(
          (gateway, token) => gateway.account(token).administration().createRole(name, words),
          {
            repeat: "unsent",
          },
        );
        showRole(terminal, role);
      },
    },
    {
      name: "delete",
      summary: "Delete a role that nobody has; asks first",
      args: [["<role>", "its name"]],
      examples: ["flotilla roles delete support", "flotilla roles delete support --yes"],
      calls: ["Administration.deleteRole"],
      advice,
      async run({ terminal, prompt, shop }, { args }) {
        const [name] = args as [string];
        await prompt.agreement(say`Delete the role ${name}?`);
        await shop.callAs((gateway, token) => gateway.account(token).administration().deleteRole(name), {
          repeat: "unsent",
        });
        terminal.result({ name, deleted: true }, () =>
          terminal.quiet ? "" : say`${terminal.paint("green", "✓")} The role ${name} was deleted`,
        );
      },
    },
    {
      name: "set-permissions",
      summary: "Say what a role may do, in place of what it might before; asks first if that takes something away",
      args: [["<role>", "its name"], permissions],
      examples: ["flotilla roles set-permissions support order.view order.cancel"],
      calls: ["ApiGateway.listRoles", "ApiGateway.setRolePermissions"],
      advice,
      async run({ terminal, prompt, shop }, { args }) {
        const [name, words = []] = args as [string, string[] | undefined];
        const list = await shop.callAs((gateway, token) => gateway.listRoles(token));
        const held = list.find((role) => role.name === name)?.permissions ?? [];
        const taken = held.filter((permission) => !words.includes(permission));
        if (taken.length > 0) await prompt.agreement(say`Take ${taken.join(", ")} away from the role ${name}?`);
        showRole(terminal, await shop.callAs((gateway, token) => gateway.setRolePermissions(token, name, words)));
      },
    },
  ],
};

const columns = [
  { title: "ROLE", of: (it: Role) => it.name },
  { title: "PERMISSIONS", of: (it: Role) => it.permissions.join(" ") },
];

function showRole(terminal: Terminal, role: Role): void {
  terminal.result(role, () => {
    if (terminal.quiet) return say`${role.name}`;
    return fields({ role: role.name, permissions: role.permissions.join(" ") || "none" }, terminal.paint);
  });
}
