import type { SystemStatus } from "../shop/contracts/status.ts";

/** Of a gateway that is made of parts in one process. */
export const quietStatus: SystemStatus = {
  version: "0.1.0",
  commit: null,
  instance: "gateway-instance",
  uptimeMs: 1,
  load: { isOverloaded: false, shed: 0, loopLagMs: 0 },
  destinations: [],
};
