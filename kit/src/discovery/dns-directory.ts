import { NODATA, NOTFOUND } from "node:dns";
import { Resolver } from "node:dns/promises";
import type { Directory } from "./directory.ts";
import { type DirectoryOptions, type Found, makeLookup } from "./lookup.ts";

/** Options of `dnsDirectory` and `srvDirectory`. */
export interface DnsOptions extends DirectoryOptions {
  /** `address:port` of name servers; default: those of the system. */
  readonly servers?: readonly string[] | undefined;
}

/** Where the answer does not say, or says more. Milliseconds. */
const intervalMsDefault = 10_000;
/** Of one question to one server, of which there are two. Milliseconds. */
const questionMs = 2_000;
const tries = 2;

/**
 * The addresses (A and AAAA) of a host, all at one port, such as a headless service of Kubernetes. Asked again when the
 * shortest of their times to live is over, and at least every 10 s. By name servers alone: `/etc/hosts` is not read. Over
 * `http`, for by its number nobody has a certificate.
 */
export function dnsDirectory({ host, port }: { host: string; port: number }, options: DnsOptions = {}): Directory {
  assertServers(options);
  return makeLookup(
    {
      title: `the addresses of ${host}`,
      intervalMs: intervalMsDefault,
      async look(ended): Promise<Found> {
        const resolver = resolverUntil(ended, options);
        const answers = await Promise.all([
          orNone(resolver.resolve4(host, { ttl: true })),
          orNone(resolver.resolve6(host, { ttl: true })),
        ]);
        const records = answers.flat();
        const urls = records.map(({ address }) => `http://${address.includes(":") ? `[${address}]` : address}:${port}`);
        return { urls, ttlMs: Math.min(...records.map(({ ttl }) => ttl * 1_000)) };
      },
    },
    options,
  );
}

/**
 * The targets and ports of an SRV record (RFC 2782), such as `_rpc._tcp.users.example`. Of several priorities the first
 * alone counts, and all its targets alike: calls go to the less busy, whatever their weights.
 */
export function srvDirectory({ name, scheme = "http" }: { name: string; scheme?: string }, options: DnsOptions = {}) {
  assertServers(options);
  return makeLookup(
    {
      title: `the SRV records of ${name}`,
      intervalMs: intervalMsDefault,
      async look(ended): Promise<Found> {
        const resolver = resolverUntil(ended, options);
        const records = await orNone(resolver.resolveSrv(name));
        const first = Math.min(...records.map(({ priority }) => priority));
        const chosen = records.filter(({ priority }) => priority === first);
        return { urls: chosen.map((record) => `${scheme}://${record.name}:${record.port}`) };
      },
    },
    options,
  );
}

/** @throws TypeError for what is no address of a name server. */
function assertServers({ servers = [] }: DnsOptions): void {
  new Resolver().setServers(servers);
}

/** Of one look, which may be ended: that ends all that its resolver has asked. */
function resolverUntil(ended: AbortSignal, { servers }: DnsOptions): Resolver {
  const resolver = new Resolver({ timeout: questionMs, tries });
  if (servers) resolver.setServers(servers);
  ended.addEventListener("abort", () => resolver.cancel(), { once: true });
  return resolver;
}

/** A name that is not there, or has no such records, has none; the lookup makes of it what it makes of an empty list. */
async function orNone<T>(question: Promise<T[]>): Promise<T[]> {
  try {
    return await question;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === NOTFOUND || code === NODATA) return [];
    throw error;
  }
}
