import type { OptionSpec } from "./command.ts";

/** What every command takes. */
export const globalOptions: readonly OptionSpec[] = [
  { flags: "--json", summary: "one JSON document on stdout; errors as JSON on stderr" },
  { flags: "-q, --quiet", summary: "no notes and no titles; of what is made, only its id" },
  { flags: "-v, --verbose", summary: "say on stderr how it is done" },
  { flags: "--no-color", summary: "no colour, as with NO_COLOR or TERM=dumb" },
  { flags: "--no-input", summary: "never ask; fail instead" },
  { flags: "-y, --yes", summary: "agree to what would be asked" },
  { flags: "--timeout <time>", summary: "for all that is asked of the gateway (default: 30s)" },
  { flags: "--profile <name>", summary: "which login to use (FLOTILLA_PROFILE; default: default)" },
  { flags: "--gateway <url>", summary: "where the gateway is (FLOTILLA_GATEWAY_URL, or as at the last login)" },
];
