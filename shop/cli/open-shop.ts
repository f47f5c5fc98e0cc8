import { usageError } from "./cli-error.ts";
import type { Context, GlobalOptions } from "./command.ts";
import { makeProfiles } from "./profiles.ts";
import { makeShop, type Shop } from "./shop.ts";
import { parseDuration } from "./times.ts";

/** Longer than the gateway's own deadline and a repetition. */
const timeoutDefault = "30s";

/** The shop that the options name; an option counts before the environment, and that before the profile. */
export function openShop(
  { profile, gateway, timeout }: GlobalOptions,
  { env, terminal, signal }: Pick<Context, "env" | "terminal" | "signal">,
): Shop {
  if (gateway === "") throw usageError("--gateway takes an address");
  return makeShop({
    profiles: makeProfiles(env),
    profileName: profile ?? (env.FLOTILLA_PROFILE || "default"),
    gateway: gateway ?? (env.FLOTILLA_GATEWAY_URL || undefined),
    timeoutMs: timeoutMsOf(timeout),
    terminal,
    signal,
  });
}

/** The milliseconds that `--timeout` gives a command, or the default. */
export function timeoutMsOf(timeout: string = timeoutDefault): number {
  return parseDuration("--timeout", timeout);
}
