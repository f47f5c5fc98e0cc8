import { FlotillaError } from "../base/errors.ts";

/** `reason` of calls refused while stopping, and of nothing else: the call never began, so another instance may be tried. */
export const stoppingReason = "stopping";

/** The error of calls that come after the service stopped taking any. */
export const stoppingRefusal = new FlotillaError("unavailable", "The service is stopping", { reason: stoppingReason });
