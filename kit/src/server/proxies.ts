import type { IncomingMessage } from "node:http";
import { BlockList, isIP, isIPv4 } from "node:net";

/** Stations of one request that are looked at: more proxies than anybody has in a row. */
const hopsMax = 16;

/** The address that a request comes from. */
export type AddressOf = (request: IncomingMessage) => string;

/** The proxies that a server trusts. */
export interface Proxies {
  readonly addressOf: AddressOf;
  /** Whether connections from `address` carry the requests of others. */
  isProxy(address: string): boolean;
}

/**
 * Finds the client behind the proxies that are `trusted`: IP addresses, or ranges such as `10.0.0.0/8`. Each of them
 * writes down, last in `X-Forwarded-For`, whom it heard; so the list is read from its end, for as long as the one who wrote
 * the next entry is trusted.
 *
 * SECURITY: whatever stands before the word of somebody who is not trusted is anybody's word. Without trusted proxies it is
 * the address of the socket and no header is read.
 *
 * @throws TypeError for what is neither an address nor a range.
 */
export function makeProxies(trusted: readonly string[] = []): Proxies {
  const proxies = new BlockList();
  for (const entry of trusted) addRange(proxies, entry);
  const isTrusted = (address: string) =>
    isIP(address) !== 0 && proxies.check(address, isIPv4(address) ? "ipv4" : "ipv6");

  return { addressOf, isProxy: (address) => isTrusted(unmapped(address)) };

  function addressOf({ socket, headers }: IncomingMessage): string {
    let address = unmapped(socket.remoteAddress ?? "");
    if (trusted.length === 0 || !isTrusted(address)) return address;
    const header = headers["x-forwarded-for"];
    const heard = (typeof header === "string" ? header : "").split(",").slice(-hopsMax).reverse();
    for (const entry of heard) {
      const next = unmapped(withoutPort(entry.trim()));
      if (isIP(next) === 0) return address;
      address = next;
      if (!isTrusted(address)) return address;
    }
    return address;
  }
}

/** Whether `makeProxies` takes it. */
export function isAddressRange(text: string): boolean {
  try {
    addRange(new BlockList(), text);
    return true;
  } catch {
    return false;
  }
}

function addRange(list: BlockList, entry: string): void {
  const [address = "", bits, ...rest] = entry.split("/");
  const family = isIPv4(address) ? "ipv4" : "ipv6";
  const bitsMax = family === "ipv4" ? 32 : 128;
  const isWhole = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax);
  if (isIP(address) === 0 || !isWhole || rest.length > 0) {
    throw new TypeError(`Not an IP address, nor a range of them: ${JSON.stringify(entry)}`);
  }
  list.addSubnet(address, bits === undefined ? bitsMax : Number(bits), family);
}

/** An IPv4 address as a socket of both families names it. */
function unmapped(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}

/** Some proxies write `192.0.2.1:4711` and `[2001:db8::1]:4711`. */
function withoutPort(entry: string): string {
  return /^\[([^\]]+)\](?::\d+)?$/.exec(entry)?.[1] ?? /^([\d.]+):\d+$/.exec(entry)?.[1] ?? entry;
}
