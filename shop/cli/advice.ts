import type { CliError } from "./cli-error.ts";
import type { Chosen } from "./program.ts";
import { spanText } from "./times.ts";

/** What the person can do about `error`, in one line; the command's own advice comes first. */
export function adviceFor({ code, detail }: CliError, chosen: Chosen | undefined): string | undefined {
  const own = chosen?.spec.advice;
  const special = (detail.reason !== undefined && own?.[detail.reason]) || own?.[code];
  if (special) return special;
  switch (code) {
    case "unauthenticated":
      return `Run \`${commandOf("flotilla login", chosen)}\``;
    case "permission_denied":
      if (detail.reason === "revoked") return `This login has ended: run \`${commandOf("flotilla login", chosen)}\``;
      return "Ask an administrator; `flotilla whoami` shows who you are";
    case "resource_exhausted":
      return `Try again ${detail.retryAfterMs === undefined ? "later" : `in ${spanText(detail.retryAfterMs)}`}`;
    case "unavailable":
      if (detail.reason === "connection_refused")
        return "Start it with `npm start`, or say where it is with `--gateway URL`";
      return "Try again later; `flotilla status` shows whether the shop is ready";
    case "deadline_exceeded":
      return "Look whether it was done before you repeat it, or give it more time with `--timeout 2m`";
    case "invalid_argument":
      return chosen && `See \`flotilla ${chosen.path} --help\``;
    case "internal":
      return "Run it again with --verbose to see more";
    default:
      return undefined;
  }
}

/** With the options that lead to the same profile and gateway. */
function commandOf(command: string, chosen: Chosen | undefined): string {
  const { profile, gateway } = chosen?.globals ?? {};
  const options = [profile && `--profile ${profile}`, gateway && `--gateway ${gateway}`].filter(Boolean);
  return [command, ...options].join(" ");
}
