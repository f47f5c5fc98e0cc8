import type { IncomingMessage } from "node:http";
import { FlotillaError } from "../base/errors.ts";

/** `reason` of the refusal of a body that was compressed or encoded. It is answered with 415. */
export const encodingReason = "encoding_not_taken";

/**
 * SECURITY: nothing is decompressed, because a small body could then become a large one.
 * @throws FlotillaError `invalid_argument`, reason `encoding_not_taken`, for a body that is not sent as it is.
 */
export function assertNotEncoded({ headers }: IncomingMessage): void {
  const encoding = headers["content-encoding"]?.trim().toLowerCase() || "identity";
  const transfer = headers["transfer-encoding"]?.trim().toLowerCase() || "chunked";
  if (encoding === "identity" && transfer === "chunked") return;
  const message = "A body is taken as it is (content-encoding: identity), and neither compressed nor encoded";
  throw new FlotillaError("invalid_argument", message, { reason: encodingReason });
}
