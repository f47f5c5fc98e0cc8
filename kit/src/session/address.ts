import type { IncomingMessage } from "node:http";
import { FlotillaError } from "../base/errors.ts";
import type { AnonymousPeer } from "../base/peer.ts";

/** Counts what each network address has under way. */
export interface AddressBudget {
  /**
   * Takes a place for `request`.
   * @throws FlotillaError `resource_exhausted`, reason `session_limit`.
   */
  enter(request: IncomingMessage): Place;
}

export interface Place {
  /** The same for everybody at this address, so that what runs for them counts together. */
  readonly peer: AnonymousPeer;
  /** Gives the place back. Idempotent. */
  leave(): void;
}

/** SECURITY: by the address of the socket. A forwarding header is anybody's word and is not read. */
export function makeAddressBudget(max: number): AddressBudget {
  const taken = new Map<string, { count: number; readonly peer: AnonymousPeer }>();
  return {
    enter(request) {
      const address = networkOf(request.socket.remoteAddress ?? "");
      const entry = taken.get(address) ?? { count: 0, peer: { kind: "anonymous" } };
      if (entry.count >= max) {
        throw new FlotillaError("resource_exhausted", "Too many sessions from this address", {
          reason: "session_limit",
        });
      }
      entry.count += 1;
      taken.set(address, entry);
      let isIn = true;
      const leave = () => {
        if (!isIn) return;
        isIn = false;
        entry.count -= 1;
        if (entry.count === 0) taken.delete(address);
      };
      return { peer: entry.peer, leave };
    },
  };
}

/** One subscriber: an IPv4 address, or the /64 that a subscriber of IPv6 has whole. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1]) return mapped[1];
  if (!address.includes(":")) return address;
  const [head = "", tail] = (address.split("%", 1)[0] ?? "").toLowerCase().split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => "0");
  return `${[...front, ...zeros, ...back].slice(0, 4).join(":")}::/64`;
}
