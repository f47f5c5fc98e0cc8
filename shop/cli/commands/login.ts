import { CliError } from "../cli-error.ts";
import type { CommandSpec } from "../command.ts";
import { isLocal } from "../post.ts";
import { type Printable, say } from "../text.ts";

export const login: CommandSpec = {
  name: "login",
  summary: "Log in, and remember it",
  about:
    "The password is asked for, or read from standard input; never an argument, where other users could see it.\n" +
    "The login is kept in a file that only you can read, and renewed by itself when it is used.",
  args: [["[username]", "asked for when left out"]],
  options: [{ flags: "--password-stdin", summary: "read the password from the first line of standard input" }],
  examples: [
    "flotilla login alice",
    "flotilla login alice --password-stdin < password.txt",
    "flotilla login alice --profile work --gateway https://shop.example",
  ],
  calls: ["ApiGateway.login"],
  advice: { unauthenticated: "Check both and run it again; an administrator can see whether the account is disabled" },
  async run({ terminal, prompt, shop }, { args, options }) {
    const [given] = args as [string | undefined];
    const username = given ?? (await prompt.line(say`Username: `, "`flotilla login <username>`"));
    warnIfClear(shop.url, terminal.note);
    const [password = ""] = options.passwordStdin
      ? await prompt.linesOfInput(1)
      : [await prompt.secret(say`Password of ${username}: `, "--password-stdin")];
    if (username === "" || password === "")
      throw new CliError("invalid_argument", "A login takes a name and a password");
    const made = await shop.call((gateway) => gateway.login(username, password));
    shop.save(made);
    const { userId, role, expiresAt, refreshExpiresAt } = made;
    const answer = { userId, username: made.username, role, gateway: shop.url, profile: shop.profileName };
    terminal.result({ ...answer, expiresAt, refreshExpiresAt }, () =>
      terminal.quiet ? "" : say`${terminal.paint("green", "✓")} Logged in as ${made.username} (${role}) at ${shop.url}`,
    );
  },
};

/** SECURITY: passwords and tokens cross the network as they are. */
function warnIfClear(url: string, note: (text: Printable) => void): void {
  const { protocol, hostname } = new URL(url);
  if (protocol === "http:" && !isLocal(hostname))
    note(say`! ${url} is not encrypted: others on the way can read your password`);
}
