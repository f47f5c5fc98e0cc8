import { topology } from "../topology.ts";
import type { CliError } from "./cli-error.ts";
import type { Chosen } from "./program.ts";
import { spanText } from "./times.ts";

/** What the person can do about `error`, in one line; the command's own advice comes first. */
export function adviceFor({ code, message, detail }: CliError, chosen: Chosen | undefined): string | undefined {
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
      if (detail.reason === "connection_refused") return startAdvice(message);
      return "Try again later; `flotilla status` shows which service does not answer";
    case "deadline_exceeded":
      return "Look whether it was done before you repeat it; `flotilla status` shows which service does not answer";
    case "invalid_argument":
      return chosen && `See \`flotilla ${chosen.path} --help\``;
    case "internal":
      return "Run it again with --verbose to see more";
    default:
      return undefined;
  }
}

/** The gateway was reached, and says in its message which service it could not reach. */
function startAdvice(message: string): string {
  const name = topology.gateway.reaches.find((it) => message.startsWith(`${it} `)) ?? "<service>";
  return `The gateway runs; start ${name} with \`npm run ${name}\`. Under \`npm start\` it comes back by itself`;
}

/** With the options that lead to the same profile and gateway. */
function commandOf(command: string, chosen: Chosen | undefined): string {
  const { profile, gateway } = chosen?.globals ?? {};
  const options = [profile && `--profile ${profile}`, gateway && `--gateway ${gateway}`].filter(Boolean);
  return [command, ...options].join(" ");
}
