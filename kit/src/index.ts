// For those who build services.

export { type Cancel, type Clock, systemClock } from "./base/clock.ts";
export { type CallContext, type ContextRequest, currentContext, withContext, withOwnDeadline } from "./base/context.ts";
export { type ErrorCode, type ErrorDetail, errorCodes, FlotillaError, hasCode, reasonOf } from "./base/errors.ts";
export { newIdempotencyKey } from "./base/ids.ts";
export { edgeLimits, type Limits, linkLimits } from "./base/limits.ts";
export type { AnsweredCall, OnAnswered } from "./base/observer.ts";
export { type AnonymousPeer, anonymous, type Peer, type ServicePeer } from "./base/peer.ts";
export { addressOf } from "./base/service-url.ts";
export { decodeText } from "./base/text.ts";
export { type Attenuation, attenuate } from "./capability/attenuate.ts";
export { type ExposeOptions, expose } from "./capability/boundary.ts";
export type { Revocation } from "./capability/conditions.ts";
export {
  arg,
  type Contract,
  callback,
  contract,
  type Implementation,
  optional,
  type Param,
} from "./capability/contract.ts";
export { expiring } from "./capability/expiry.ts";
export { makeRevoker, type Revoker, revocable } from "./capability/revoker.ts";
export { readable, writable } from "./capability/streams.ts";
export { anyNumber, bytes, instant } from "./capability/wire-types.ts";
export { type OpenBatch, type OpenBatchOptions, openBatch } from "./client/batch-client.ts";
export type { CallOptions, Use } from "./client/caller.ts";
export { type ConnectOptions, connect } from "./client/connect.ts";
export type { Connection } from "./client/connection.ts";
export type { InstanceReport } from "./client/instance.ts";
export { type ConnectAllOptions, connectAll, type Instances } from "./client/instances.ts";
export { type Directory, instancesMax, listDirectory } from "./discovery/directory.ts";
export { type DnsOptions, dnsDirectory, srvDirectory } from "./discovery/dns-directory.ts";
export type { EtcdPlace } from "./discovery/etcd.ts";
export { etcdDirectory } from "./discovery/etcd-directory.ts";
export { type Registration, type RegistrationOptions, registerInEtcd } from "./discovery/etcd-registration.ts";
export { fileDirectory } from "./discovery/file-directory.ts";
export type { DirectoryOptions } from "./discovery/lookup.ts";
export { etcdPlaceOf, openDirectory } from "./discovery/open-directory.ts";
export { type Identity, type IdentityOptions, openIdentity } from "./identity/identity.ts";
export { type KeysCommand, runKeys } from "./identity/keys.ts";
export { type Carried, carryRevocations } from "./identity/revocations.ts";
export {
  deposited,
  type HearsOfDeposits,
  type Home,
  type HomeOptions,
  type Introducible,
  introducible,
  makeHome,
} from "./introduction/home.ts";
export {
  accept,
  type Gift,
  type Gifted,
  type HomeLink,
  type IntroduceOptions,
  introduce,
} from "./introduction/introduce.ts";
export { type Introduction, introductionTo } from "./introduction/introduction.ts";
export { type LeaseHolder, type LeaseOptions, type StandsUntil, standsUntil } from "./introduction/leases.ts";
export { type Loan, type Loans, type LoansOptions, makeLoans } from "./introduction/loans.ts";
export type { BreakerState } from "./resilience/breaker.ts";
export { type Bulkhead, type BulkheadOptions, makeBulkhead } from "./resilience/bulkhead.ts";
export { RpcPromise, RpcStub, RpcTarget } from "./rpc/stub.ts";
export type { Busyness, WaitsFor } from "./server/health.ts";
export { type Network, networksOf } from "./server/networks.ts";
export { type OpsOptions, type OpsServer, serveOps } from "./server/ops.ts";
export { originOf } from "./server/origins.ts";
export { isAddressRange } from "./server/proxies.ts";
export { type ServeOptions, type Server, serve } from "./server/serve.ts";
export { onShutdownSignal } from "./server/shutdown.ts";
export { type Metrics, makeMetrics } from "./telemetry/metrics.ts";

// For those who build on the kit's own layers: transports, harnesses, other stores of keys.

export { assertPrivate, type OnClosed, type PrivateFile } from "./base/private-file.ts";
export type { Env } from "./capability/env.ts";
export type { CallerPolicy } from "./rpc/context-line.ts";
export { stoppingReason } from "./rpc/stopping.ts";
export type { SendLimits } from "./rpc/writer.ts";
export { openSession, type Session, type SessionOptions } from "./session/session.ts";
export type { Channel, ChannelEvents, Framing } from "./transport/channel.ts";
export { type MemoryLink, makeMemoryLink } from "./transport/memory.ts";
