import type { StopSignal } from "../supervisor/stop-signals.ts";

/** 128 and the number of the signal, as shells have it. */
export const stopExitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const satisfies Record<StopSignal, number>;
