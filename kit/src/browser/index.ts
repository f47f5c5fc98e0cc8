// The part of the kit that runs in pages and workers of a browser, and what a short-lived client needs: it loads no package.
export { type Cancel, type Clock, systemClock } from "../base/clock.ts";
export { type CallContext, type ContextRequest, currentContext, withContext } from "../base/context.ts";
export { type ErrorCode, type ErrorDetail, errorCodes, FlotillaError, hasCode, reasonOf } from "../base/errors.ts";
export { newIdempotencyKey } from "../base/ids.ts";
export { edgeLimits, type Limits, linkLimits } from "../base/limits.ts";
export { RpcPromise, RpcStub, RpcTarget } from "../rpc/stub.ts";
export type { SendLimits } from "../rpc/writer.ts";
export { type OpenBatch, type OpenBatchOptions, openBatch } from "../client/batch-client.ts";
export type { Connection, ConnectionStatus } from "../client/connection.ts";
export { type ConnectOptions, connect } from "./connect.ts";
