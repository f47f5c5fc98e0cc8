import type { Profile } from "../../contracts/users.ts";
import type { CommandSpec } from "../command.ts";
import type { Terminal } from "../terminal.ts";
import { fields } from "../text.ts";

export const profile: CommandSpec = {
  name: "profile",
  summary: "Show or change your own account",
  examples: ["flotilla profile show", "flotilla profile edit --email alice@example.org"],
  commands: [
    {
      name: "show",
      summary: "Show your account",
      examples: ["flotilla profile show", "flotilla profile show --json"],
      calls: ["ApiGateway.getUserProfile"],
      async run({ terminal, shop }) {
        showProfile(terminal, await shop.callAs((gateway, token) => gateway.getUserProfile(token)));
      },
    },
    {
      name: "edit",
      summary: "Change your account",
      options: [{ flags: "--email <address>", summary: "your new address", isRequired: true }],
      examples: ["flotilla profile edit --email alice@example.org"],
      calls: ["ApiGateway.editProfile"],
      async run({ terminal, shop }, { options }) {
        const changes = { email: options.email as string };
        showProfile(terminal, await shop.callAs((gateway, token) => gateway.editProfile(token, changes)));
      },
    },
  ],
};

function showProfile(terminal: Terminal, { userId, username, email, role }: Profile): void {
  terminal.result({ userId, username, email, role }, () =>
    fields({ id: userId, username, email, role }, terminal.paint),
  );
}
