import type { LoginSession } from "../../contracts/users.ts";
import type { CommandSpec } from "../command.ts";
import { lines, say, table } from "../text.ts";
import { timeText } from "../times.ts";

export const sessions: CommandSpec = {
  name: "sessions",
  summary: "Your logins on all devices",
  examples: ["flotilla sessions list", "flotilla sessions end mB0pUo3cJ0kYJ1yUV5nO2A"],
  commands: [
    {
      name: "list",
      summary: "List your logins, the newest first",
      examples: ["flotilla sessions list", "flotilla sessions list --json"],
      calls: ["Account.sessions"],
      async run({ terminal, shop }) {
        const list = await shop.callAs((gateway, token) => gateway.account(token).sessions());
        const { paint, quiet } = terminal;
        terminal.result(list, () =>
          quiet ? lines(list.map(({ sessionId }) => sessionId)) : table(list, columns, { paint, titles: true }),
        );
      },
    },
    {
      name: "end",
      summary: "End one of your logins, and all that was obtained by it",
      args: [["<session>", "its id, as `flotilla sessions list` shows it"]],
      examples: ["flotilla sessions end mB0pUo3cJ0kYJ1yUV5nO2A"],
      calls: ["Account.endSession"],
      advice: { not_found: "`flotilla sessions list` shows which there are" },
      async run({ terminal, shop }, { args }) {
        const [sessionId] = args as [string];
        await shop.callAs((gateway, token) => gateway.account(token).endSession(sessionId), { repeat: "unsent" });
        terminal.result({ sessionId, ended: 1 }, () =>
          terminal.quiet ? "" : say`${terminal.paint("green", "✓")} Session ${sessionId} ended`,
        );
      },
    },
    {
      name: "renew",
      summary: "Renew this login now, which otherwise happens when it has to",
      examples: ["flotilla sessions renew"],
      calls: ["ApiGateway.refresh"],
      async run({ terminal, shop }) {
        const { expiresAt, refreshExpiresAt } = await shop.renew();
        terminal.result({ expiresAt, refreshExpiresAt }, () =>
          terminal.quiet ? "" : say`${terminal.paint("green", "✓")} Logged in until ${timeText(refreshExpiresAt)}`,
        );
      },
    },
  ],
};

const columns = [
  { title: "SESSION", of: (it: LoginSession) => it.sessionId },
  { title: "LOGGED IN", of: (it: LoginSession) => timeText(it.createdAt) },
  { title: "LAST USED", of: (it: LoginSession) => timeText(it.lastUsedAt) },
  { title: "UNTIL", of: (it: LoginSession) => timeText(it.expiresAt) },
  { title: "", of: (it: LoginSession) => (it.isThisOne ? "this one" : "") },
];
