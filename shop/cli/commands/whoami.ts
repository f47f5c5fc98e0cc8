import type { CommandSpec } from "../command.ts";
import { fields, say } from "../text.ts";
import { timeText } from "../times.ts";

export const whoami: CommandSpec = {
  name: "whoami",
  summary: "Show who is logged in, and where",
  about: "Asks the gateway, so that what is shown holds now.",
  examples: ["flotilla whoami", "flotilla whoami --quiet", "flotilla whoami --json"],
  calls: ["ApiGateway.getUserProfile"],
  async run({ terminal, shop }) {
    const profile = await shop.callAs((gateway, token) => gateway.getUserProfile(token));
    const kept = shop.login();
    const place = { gateway: shop.url, profile: shop.profileName };
    const times = kept && { expiresAt: kept.expiresAt, refreshExpiresAt: kept.refreshExpiresAt };
    terminal.result({ ...profile, ...place, ...times }, () => {
      if (terminal.quiet) return say`${profile.username}`;
      const { username, role, userId } = profile;
      const until = kept && timeText(kept.refreshExpiresAt);
      return fields({ user: username, role, id: userId, ...place, "logged in until": until }, terminal.paint);
    });
  },
};
