import type { CommandSpec, Entry } from "./command.ts";

/** Every command, in the order of its help. A new one is a line here and a file in `commands/`, loaded when it is asked for. */
export const entries: readonly Entry[] = [
  { name: "login", summary: "Log in, and remember it", load: async () => (await import("./commands/login.ts")).login },
  {
    name: "logout",
    summary: "End this login, or all of them",
    load: async () => (await import("./commands/logout.ts")).logout,
  },
  {
    name: "whoami",
    summary: "Show who is logged in, and where",
    load: async () => (await import("./commands/whoami.ts")).whoami,
  },
  {
    name: "profile",
    summary: "Show or change your own account",
    load: async () => (await import("./commands/profile.ts")).profile,
  },
  {
    name: "password",
    summary: "Change your password",
    load: async () => (await import("./commands/password.ts")).password,
  },
  {
    name: "sessions",
    summary: "Your logins on all devices",
    load: async () => (await import("./commands/sessions.ts")).sessions,
  },
  {
    name: "order",
    summary: "Place, list, show and cancel orders",
    load: async () => (await import("./commands/order.ts")).order,
  },
  { name: "users", summary: "List and manage accounts", load: async () => (await import("./commands/users.ts")).users },
  { name: "roles", summary: "List and manage roles", load: async () => (await import("./commands/roles.ts")).roles },
  {
    name: "audit",
    summary: "Show who did what to whom",
    load: async () => (await import("./commands/audit.ts")).audit,
  },
  {
    name: "status",
    summary: "Show whether the shop is ready",
    load: async () => (await import("./commands/status.ts")).status,
  },
  { name: "keys", summary: "The keys of the services", load: async () => (await import("./commands/keys.ts")).keys },
  {
    name: "backup",
    summary: "Back up the stores and keys of this machine's services",
    load: async () => (await import("./commands/backup.ts")).backup,
  },
  {
    name: "restore",
    summary: "Make the data directory what it was when a backup was made",
    load: async () => (await import("./commands/backup.ts")).restore,
  },
  {
    name: "new-store",
    summary: "Let a service begin anew with an empty store",
    load: async () => (await import("./commands/backup.ts")).newStore,
  },
  { name: "demo", summary: "Walk through ten steps", load: async () => (await import("./commands/demo.ts")).demo },
  {
    name: "repl",
    summary: "Hold capabilities, interactively",
    load: async () => (await import("./commands/repl.ts")).repl,
  },
  {
    name: "completion",
    summary: "Print a completion script",
    load: async () => (await import("./commands/completion.ts")).completion,
  },
  {
    name: "help",
    summary: "Show help for a command or topic",
    load: async () => (await import("./commands/help.ts")).help,
  },
];

/** The whole tree, for what shows or checks all of it. */
export async function allCommands(): Promise<CommandSpec[]> {
  return await Promise.all(entries.map(({ load }) => load()));
}
