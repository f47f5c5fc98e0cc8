/**
 * The other end of a session. A service proved its name by its key when the session opened; `anonymous` is
 * everybody else. Authority may depend on it, because it comes from the session and never from an argument.
 */
export type Peer = ServicePeer | AnonymousPeer;

/** A service that proved its name by its key when its session opened. */
export interface ServicePeer {
  readonly kind: "service";
  readonly name: string;
  /** The run of that service that is connected; a restart has another. */
  readonly instance: string;
}

/** A peer that proved nothing: a client, a web page, a service without a key. */
export interface AnonymousPeer {
  readonly kind: "anonymous";
  /**
   * Where the session comes from: an IPv4 address, or the /64 of an IPv6 one. Undefined for who came by no listener.
   * SECURITY: information about the session, for limits and logs. It is no identity: many people share one, and anybody
   * may come from several.
   */
  readonly network?: string;
  /** Whether the session is one HTTP request, and ends with its answer; a WebSocket's lasts. */
  readonly isBatch?: boolean;
}

/** A peer that proved nothing and came over no network; for tests and for code of this process. */
export const anonymous: AnonymousPeer = { kind: "anonymous" };

/** A name for logs and for the caller chain. */
export function peerName(peer: Peer): string {
  return peer.kind === "service" ? peer.name : "anonymous";
}
