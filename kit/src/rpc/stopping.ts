import { FlotillaError } from "../base/errors.ts";

/** Of the refusal below, and of nothing else that leaves a process: the call was not begun, so another may be asked. */
export const stoppingReason = "stopping";

/** What a call hears that comes when the service takes none any more. */
export const stoppingRefusal = new FlotillaError("unavailable", "The service is stopping", { reason: stoppingReason });
