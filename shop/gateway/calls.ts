import type { CallOptions } from "@flotilla/kit";

/**
 * The gateway is the outermost caller of clients that repeat nothing themselves, so it alone repeats what an instance lost:
 * a few times, at others or under the budget, and never while nobody is there.
 */
const repeated: CallOptions = { isRepeatable: true, attemptsMax: 3, awayMsMax: 0 };

/** What changes nothing. */
export const reads: CallOptions = repeated;
/** They fail together when the disk is full, say; reads go on then. */
export const writes: CallOptions = { group: "writes" };
/** What changes nothing more when it is done twice: it carries an idempotency key, or its outcome is the same. */
export const repeatableWrites: CallOptions = { ...writes, ...repeated };
