import { usageError } from "../cli-error.ts";
import type { CommandSpec } from "../command.ts";
import { newPassword } from "../new-password.ts";
import { say } from "../text.ts";

export const password: CommandSpec = {
  name: "password",
  summary: "Change your password",
  examples: ["flotilla password change"],
  commands: [
    {
      name: "change",
      summary: "Change your password, which ends all your other logins",
      options: [
        {
          flags: "--password-stdin",
          summary: "read two lines of standard input: the current password and the new one",
        },
      ],
      examples: ["flotilla password change", "flotilla password change --password-stdin < passwords.txt"],
      calls: ["Account.changePassword"],
      advice: { wrong_password: "Run it again with the password you have now" },
      async run({ terminal, prompt, shop }, { options }) {
        const instead = "--password-stdin";
        const [current = "", next = ""] = options.passwordStdin
          ? await prompt.linesOfInput(2)
          : [await prompt.secret(say`Current password: `, instead), await newPassword(prompt, instead)];
        if (next === "") throw usageError("The new password is empty");
        // Of a change whose answer was lost nobody knows: repeated it would be refused for the old password.
        const login = await shop.callAs((gateway, token) => gateway.account(token).changePassword(current, next), {
          repeat: "unsent",
        });
        shop.save(login);
        terminal.result({ userId: login.userId, username: login.username }, () =>
          terminal.quiet ? "" : say`${terminal.paint("green", "✓")} Password changed; your other logins have ended`,
        );
      },
    },
  ],
};
