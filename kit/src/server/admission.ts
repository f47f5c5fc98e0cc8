import type { IncomingMessage } from "node:http";
import type { Clock } from "../base/clock.ts";
import { FlotillaError, hasCode, withoutStack } from "../base/errors.ts";
import { makeHoldings } from "../base/holdings.ts";
import { edgeLimits, type Limits, linkLimits } from "../base/limits.ts";
import type { OnAnswered } from "../base/observer.ts";
import { type AnonymousPeer, type Peer, peerName } from "../base/peer.ts";
import { type AcceptedHello, helloHeader, makeHelloGuard, type Self } from "../identity/hello.ts";
import type { Load } from "../resilience/load.ts";
import type { Pace } from "../resilience/pace.ts";
import { makeTokenBucket, type TokenBucket } from "../resilience/token-bucket.ts";
import type { CallerPolicy } from "../rpc/context-line.ts";
import type { SessionEnv } from "../rpc/session-env.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { makeAddressBudget } from "./address-budget.ts";
import { makeNetworkTable } from "./networks.ts";
import { originOf, shownOrigin } from "./origins.ts";
import type { AddressOf } from "./proxies.ts";

export interface AdmissionOptions {
  readonly name: string;
  /** With it, peers that prove a service's key are told apart; without it everybody is anonymous. */
  readonly self: Self | undefined;
  readonly clock: Clock;
  /** Of this process: what of the calls is refused when there are too many. */
  readonly load: Load;
  /** Hears of each call that was answered. */
  readonly onAnswered?: OnAnswered | undefined;
  main(peer: Peer): RpcTarget | undefined;
  readonly origins?: readonly string[] | undefined;
  readonly addressOf: AddressOf;
  readonly edge?: Limits | undefined;
  readonly link?: Limits | undefined;
}

/** Somebody who may open a session, and on what terms. */
export interface Admitted {
  readonly peer: Peer;
  /** Its calls take the turns of its address. */
  readonly env: SessionEnv;
  readonly hello?: AcceptedHello;
  readonly limits: Limits;
  readonly callers: CallerPolicy;
  /** Its network address's. */
  readonly pace: Pace | undefined;
  /** Gives back the place among the sessions of its address. Idempotent. */
  leave(): void;
}

export interface Admission {
  /**
   * Who asks: a service that proves it, or anonymous. A hello that proves nothing is refused, not downgraded. A service
   * without an identity cannot tell, and everybody is anonymous to it; whoever said hello then misses the reply and
   * leaves before it calls anything.
   *
   * @throws FlotillaError `permission_denied` for a web page that is not listed, `unauthenticated` for a hello that
   *   proves nothing, `resource_exhausted` when its address has too many sessions, opens them too fast, or sends too many
   *   hellos that prove nothing.
   */
  admit(request: IncomingMessage, by: { readonly isBatch: boolean }): Admitted;
  /** What `peer` may call; the caller owns it. @throws FlotillaError `unauthenticated` or `permission_denied` for nothing. */
  mainFor(peer: Peer): RpcTarget;
  /** Whether a web page sent this, and one that may. */
  isListedOrigin(origin: string | undefined): origin is string;
}

export function makeAdmission(options: AdmissionOptions): Admission {
  const { self, clock, load, onAnswered, addressOf, edge = edgeLimits, link = linkLimits } = options;
  const acceptHello = self && makeHelloGate(self, { clock, addressOf, edge });
  const edgeAddresses = makeAddressBudget({ limits: edge, clock, addressOf, load });
  const linkAddresses = makeAddressBudget({ limits: link, clock, addressOf, load });
  const origins: ReadonlySet<string | undefined> = new Set(options.origins?.map(originOf));
  const isListedOrigin = (origin: string | undefined): origin is string => origins.has(origin);

  return {
    isListedOrigin,
    admit(request, { isBatch }) {
      const { origin } = request.headers;
      if (origin !== undefined && !isListedOrigin(origin)) {
        const detail = { reason: "origin_refused", cause: withoutStack(() => new Error(shownOrigin(origin))) };
        throw new FlotillaError("permission_denied", "Not from this web page", detail);
      }
      const header = request.headers[helloHeader];
      if (typeof header !== "string" || !acceptHello) {
        const { network, turns, pace, leave } = edgeAddresses.enter(request);
        const peer: AnonymousPeer = { kind: "anonymous", network, isBatch };
        const env = { peer, turns, holdings: makeHoldings(edge.capabilitiesMax), onAnswered };
        return { peer, env, limits: edge, callers: { keepCallers: false, peerName: undefined }, pace, leave };
      }
      const hello = acceptHello(header, request);
      const { peer } = hello;
      const { turns, pace, leave } = linkAddresses.enter(request);
      return {
        peer,
        env: { peer, turns, holdings: makeHoldings(link.capabilitiesMax), onAnswered },
        hello,
        limits: link,
        callers: { keepCallers: true, peerName: peerName(peer) },
        pace,
        leave,
      };
    },
    mainFor(peer) {
      const main = options.main(peer);
      if (main) return main;
      if (peer.kind === "anonymous") {
        throw new FlotillaError("unauthenticated", "Only services with a key are served here");
      }
      throw new FlotillaError("permission_denied", `${options.name} serves nothing to ${peer.name}`);
    },
  };
}

interface HelloGateOptions {
  readonly clock: Clock;
  readonly addressOf: AddressOf;
  readonly edge: Limits;
}

/** SECURITY: verifies no signature for an address that has sent too many hellos that prove nothing. */
function makeHelloGate(self: Self, { clock, addressOf, edge }: HelloGateOptions) {
  const guard = makeHelloGuard(self);
  const hellos = makeNetworkTable<TokenBucket>({
    clock,
    limits: edge,
    make: (times) =>
      makeTokenBucket({ calls: edge.hellosPerSecondMax * times, perMs: 1_000, burst: edge.hellosBurstMax * times }),
    isIdle: (bucket) => bucket.waitMs(clock.monotonicMs()) === 0,
  });
  return (header: string, request: IncomingMessage): AcceptedHello => {
    const nowMs = clock.monotonicMs();
    const buckets = hellos.of(addressOf(request));
    const retryAfterMs = Math.max(...buckets.map((bucket) => bucket.waitMs(nowMs)));
    if (retryAfterMs > 0) {
      throw new FlotillaError("resource_exhausted", "Too many hellos from this address", {
        reason: "hello_rate",
        retryAfterMs,
      });
    }
    try {
      return guard.accept(header);
    } catch (error) {
      if (hasCode(error, "unauthenticated")) for (const bucket of buckets) bucket.spend(nowMs, 1);
      throw error;
    }
  };
}
