import { toCliError } from "../cli-error.ts";
import type { CommandSpec } from "../command.ts";
import { say } from "../text.ts";

export const logout: CommandSpec = {
  name: "logout",
  summary: "End this login, or all of them",
  about: "Every capability that was obtained by the login ends with it, whoever holds it.",
  options: [{ flags: "--everywhere", summary: "end your logins on all devices; asks first" }],
  examples: ["flotilla logout", "flotilla logout --everywhere --yes"],
  calls: ["ApiGateway.logout", "Account.logoutEverywhere"],
  async run({ terminal, prompt, shop }, { options }) {
    const isEverywhere = options.everywhere === true;
    if (isEverywhere) await prompt.agreement(say`End your logins on all devices?`);
    const { ended } = await shop
      .callAs((gateway, token) => {
        return isEverywhere ? gateway.account(token).logoutEverywhere() : gateway.logout(token);
      })
      .catch((error: unknown) => {
        // One that has ended already is what was asked for.
        if (toCliError(error).detail.reason !== "login_ended") throw error;
        return { ended: 0 };
      });
    shop.forget();
    terminal.result({ ended }, () => {
      const what = isEverywhere ? say`Logged out everywhere: ${ended} ended` : say`Logged out`;
      return terminal.quiet ? "" : say`${terminal.paint("green", "✓")} ${what}`;
    });
  },
};
