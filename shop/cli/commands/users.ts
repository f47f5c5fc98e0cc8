import type { NewUser, UserRecord } from "../../contracts/administration.ts";
import type { UserSummary } from "../../contracts/users.ts";
import { usageError } from "../cli-error.ts";
import type { CommandSpec, Context } from "../command.ts";
import { findUser, unknownUser, userSummary } from "../find-user.ts";
import { newPassword } from "../new-password.ts";
import { fields, lines, type Printable, say, table } from "../text.ts";
import { timeText } from "../times.ts";

const list: CommandSpec = {
  name: "list",
  summary: "List accounts",
  options: [{ flags: "--details", summary: "with address, state and age; takes the permission user.delete" }],
  examples: ["flotilla users list", "flotilla users list --details", "flotilla users list --json"],
  calls: ["ApiGateway.listUsers", "Administration.listUsers"],
  async run(context, { options }) {
    const { terminal, shop } = context;
    const { paint, quiet } = terminal;
    if (options.details) {
      const all = await everybody(context);
      terminal.result(all, () => (quiet ? idsOf(all) : table(all, detailColumns, { paint, titles: true })));
      return;
    }
    const users = await shop.callAs((gateway, token) => gateway.listUsers(token));
    terminal.result(users, () => (quiet ? idsOf(users) : table(users, columns, { paint, titles: true })));
  },
};

const noSuchUser = { not_found: unknownUser };
const noSuchRole = { role_unknown: "`flotilla roles list` shows which there are" };
const userArgument = [["<user>", userSummary]] as const;

const create: CommandSpec = {
  name: "create",
  summary: "Make an account, which takes the permission user.create",
  args: [["<username>", "2 to 64 Latin letters, digits, dots, hyphens and underscores"]],
  options: [
    { flags: "--email <address>", summary: "its address", isRequired: true },
    { flags: "--role <name>", summary: "another role than user takes system.admin too" },
    { flags: "--password-stdin", summary: "read its password from the first line of standard input" },
  ],
  examples: [
    "flotilla users create dora --email dora@example.org",
    "flotilla users create dora --email dora@example.org --role moderator --password-stdin < password.txt",
  ],
  calls: ["ApiGateway.createUser"],
  advice: { ...noSuchRole, already_exists: "Names are given once, those of deleted accounts too: choose another" },
  async run({ terminal, prompt, shop }, { args, options }) {
    const [username] = args as [string];
    const { email, role } = options as { email: string; role?: string };
    const [password = ""] = options.passwordStdin
      ? await prompt.linesOfInput(1)
      : [await newPassword(prompt, "--password-stdin")];
    if (password === "") throw usageError("The password is empty");
    const user: NewUser = { username, password, email, ...(role !== undefined && { role }) };
    const made = await shop.callAs((gateway, token) => gateway.createUser(token, user), { repeat: "unsent" });
    terminal.result(made, () => (terminal.quiet ? say`${made.id}` : recordText(made, terminal)));
  },
};

const disable: CommandSpec = {
  name: "disable",
  summary: "Disable an account and end its logins; asks first",
  about: "Takes the permission user.delete, and over administrators system.admin.",
  args: userArgument,
  examples: ["flotilla users disable charlie", "flotilla users disable user3 --yes"],
  calls: ["ApiGateway.findUser", "ApiGateway.disableUser"],
  advice: noSuchUser,
  async run({ terminal, prompt, shop }, { args }) {
    const { id, label } = await findUser(shop, String(args[0]));
    await prompt.agreement(say`Disable ${label} and end all its logins?`);
    const user = await shop.callAs((gateway, token) => gateway.disableUser(token, id));
    terminal.result(user, () => (terminal.quiet ? "" : recordText(user, terminal)));
  },
};

const enable: CommandSpec = {
  name: "enable",
  summary: "Enable an account that was disabled",
  about: "Takes the permission user.delete, and over administrators system.admin.",
  args: userArgument,
  examples: ["flotilla users enable charlie", "flotilla users enable user3"],
  calls: ["ApiGateway.findUser", "Administration.enableUser"],
  advice: noSuchUser,
  async run({ terminal, shop }, { args }) {
    const { id } = await findUser(shop, String(args[0]));
    const user = await shop.callAs((gateway, token) => gateway.account(token).administration().enableUser(id));
    terminal.result(user, () => (terminal.quiet ? "" : recordText(user, terminal)));
  },
};

const remove: CommandSpec = {
  name: "delete",
  summary: "Delete an account for good; asks first",
  about: "Takes the permission user.delete, and over administrators system.admin. Its name is given to nobody again.",
  args: userArgument,
  examples: ["flotilla users delete charlie", "flotilla users delete user3 --yes"],
  calls: ["ApiGateway.findUser", "Administration.deleteUser"],
  advice: noSuchUser,
  async run({ terminal, prompt, shop }, { args }) {
    const { id, label } = await findUser(shop, String(args[0]));
    await prompt.agreement(say`Delete ${label} for good?`);
    await shop.callAs((gateway, token) => gateway.account(token).administration().deleteUser(id), { repeat: "unsent" });
    terminal.result({ id, deleted: true }, () =>
      terminal.quiet ? "" : say`${terminal.paint("green", "✓")} ${label} was deleted`,
    );
  },
};

const setRole: CommandSpec = {
  name: "set-role",
  summary: "Give an account another role, which takes the permission system.admin",
  about: "It counts from the account's next call.",
  args: [...userArgument, ["<role>", "as `flotilla roles list` shows it"]],
  examples: ["flotilla users set-role charlie moderator", "flotilla users set-role user3 moderator"],
  calls: ["ApiGateway.findUser", "ApiGateway.setRole"],
  advice: { ...noSuchUser, ...noSuchRole, last_admin: "Make another administrator first" },
  async run({ terminal, shop }, { args }) {
    const [word, role] = args as [string, string];
    const { id } = await findUser(shop, word);
    const user = await shop.callAs((gateway, token) => gateway.setRole(token, id, role));
    terminal.result(user, () => (terminal.quiet ? "" : recordText(user, terminal)));
  },
};

export const users: CommandSpec = {
  name: "users",
  summary: "List and manage accounts",
  examples: [
    "flotilla users list",
    "flotilla users create dora --email dora@example.org",
    "flotilla users disable charlie",
  ],
  commands: [list, create, disable, enable, remove, setRole],
};

/** Page by page. */
async function everybody({ shop }: Context): Promise<UserRecord[]> {
  const all: UserRecord[] = [];
  for (let after: string | undefined; ; ) {
    const from = after === undefined ? {} : { after };
    const page = await shop.callAs((gateway, token) => gateway.account(token).administration().listUsers(from));
    all.push(...page.users);
    if (page.next === undefined) return all;
    after = page.next;
  }
}

const idsOf = (all: readonly { id: string }[]) => lines(all.map(({ id }) => id));

const columns = [
  { title: "ID", of: (it: UserSummary) => it.id },
  { title: "USERNAME", of: (it: UserSummary) => it.username },
  { title: "ROLE", of: (it: UserSummary) => it.role },
];

const detailColumns = [
  { title: "ID", of: (it: UserRecord) => it.id },
  { title: "USERNAME", of: (it: UserRecord) => it.username },
  { title: "ROLE", of: (it: UserRecord) => it.role },
  { title: "STATE", of: (it: UserRecord) => stateOf(it) },
  { title: "CREATED", of: (it: UserRecord) => timeText(it.createdAt) },
  { title: "EMAIL", of: (it: UserRecord) => it.email },
];

function stateOf({ isEnabled }: UserRecord): string {
  return isEnabled ? "enabled" : "disabled";
}

function recordText(user: UserRecord, { paint }: Context["terminal"]): Printable {
  const { id, username, email, role, createdAt } = user;
  return fields({ id, username, email, role, state: stateOf(user), created: timeText(createdAt) }, paint);
}
