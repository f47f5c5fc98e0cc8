import type { IncomingMessage } from "node:http";
import { FlotillaError } from "../base/errors.ts";

/** Counts what each network address has under way. */
export interface AddressBudget {
  /**
   * Takes a place for `request`.
   * @returns gives the place back; idempotent.
   * @throws FlotillaError `resource_exhausted`, reason `session_limit`.
   */
  enter(request: IncomingMessage): () => void;
}

/** SECURITY: by the address of the socket. A forwarding header is anybody's word and is not read. */
export function makeAddressBudget(max: number): AddressBudget {
  const taken = new Map<string, number>();
  return {
    enter(request) {
      const address = networkOf(request.socket.remoteAddress ?? "");
      const count = (taken.get(address) ?? 0) + 1;
      if (count > max) {
        throw new FlotillaError("resource_exhausted", "Too many sessions from this address", {
          reason: "session_limit",
        });
      }
      taken.set(address, count);
      let isIn = true;
      return () => {
        if (!isIn) return;
        isIn = false;
        const left = (taken.get(address) ?? 1) - 1;
        if (left > 0) taken.set(address, left);
        else taken.delete(address);
      };
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
