// For users of the kit.
export { type Cancel, type Clock, systemClock } from "./base/clock.ts";
export { type CallContext, type ContextRequest, currentContext, withContext } from "./base/context.ts";
export { type ErrorCode, type ErrorDetail, errorCodes, FlotillaError, hasCode, reasonOf } from "./base/errors.ts";
export { anonymous, type Peer, type ServicePeer } from "./base/peer.ts";
