import type { Clock } from "../base/clock.ts";
import { edgeLimits, type Limits } from "../base/limits.ts";

/** A network that an address belongs to, by its name, such as `192.0.2.7` or `2001:db8:1:2::/64`. */
export interface Network {
  readonly name: string;
  /** How many times the budget of one address it has. */
  readonly times: number;
}

export type NetworkLimits = Pick<Limits, "network56TimesMax" | "network48TimesMax">;

/**
 * The networks whose budgets an address uses, the narrowest first: an IPv4 address alone, or the /64 of an IPv6 address
 * within its /56 and its /48. Providers give a subscriber any of the three, so a budget for each /64 alone would let
 * the owner of a /56 have 256 of them.
 *
 * @param address an IP address, or the name of the narrowest network, as `AnonymousPeer.network` has it.
 */
export function networksOf(address: string, limits: NetworkLimits = edgeLimits): readonly Network[] {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1]) return [{ name: mapped[1], times: 1 }];
  if (!address.includes(":")) return [{ name: address, times: 1 }];
  const [first, second, third, fourth] = groupsOf(address);
  const site = `${hex(first)}:${hex(second)}:${hex(third)}`;
  return [
    { name: `${site}:${hex(fourth)}::/64`, times: 1 },
    { name: `${site}:${hex(fourth & 0xff00)}::/56`, times: limits.network56TimesMax },
    { name: `${site}::/48`, times: limits.network48TimesMax },
  ];
}

/** One subscriber, as far as an address tells: an IPv4 address, or the /64 of an IPv6 address. */
export function networkOf(address: string): string {
  return networksOf(address)[0]!.name;
}

/** The first four of the eight groups of an IPv6 address, whatever its zone or prefix length. */
function groupsOf(address: string): [number, number, number, number] {
  const [head = "", tail] = (address.split(/[%/]/, 1)[0] ?? "").split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => "0");
  const groups = [...front, ...zeros, ...back].map((group) => Number.parseInt(group, 16));
  return [groups[0]!, groups[1]!, groups[2]!, groups[3]!];
}

function hex(group: number): string {
  return group.toString(16);
}

/** An entry that was idle for so long has a full budget again and is dropped (ms). */
const forgetMs = 10_000;

interface Entry<T> {
  readonly value: T;
  askedAtMs: number;
}

/** One entry of `T` for each network. */
export interface NetworkTable<T> {
  /** The entries of all networks that `address` belongs to, the narrowest first. */
  of(address: string): readonly [T, ...T[]];
  /** Networks that are remembered; for counting. */
  readonly size: number;
}

export interface NetworkTableOptions<T> {
  readonly clock: Clock;
  readonly limits: NetworkLimits;
  /** @param times how many times the budget of one address the network has. */
  make(times: number): T;
  /** Whether dropping the entry would lose no count of something that goes on. */
  isIdle(value: T): boolean;
}

export function makeNetworkTable<T>({ clock, limits, make, isIdle }: NetworkTableOptions<T>): NetworkTable<T> {
  const entries = new Map<string, Entry<T>>();
  let sweptAtMs = clock.monotonicMs();

  return {
    of(address) {
      const nowMs = clock.monotonicMs();
      if (nowMs - sweptAtMs >= forgetMs) forgetIdle(nowMs);
      const [narrowest, ...wider] = networksOf(address, limits);
      return [entryOf(narrowest!, nowMs), ...wider.map((network) => entryOf(network, nowMs))];
    },
    get size() {
      return entries.size;
    },
  };

  function entryOf({ name, times }: Network, nowMs: number): T {
    let entry = entries.get(name);
    if (!entry) {
      entry = { value: make(times), askedAtMs: nowMs };
      entries.set(name, entry);
    }
    entry.askedAtMs = nowMs;
    return entry.value;
  }

  function forgetIdle(nowMs: number): void {
    sweptAtMs = nowMs;
    for (const [name, { value, askedAtMs }] of entries) {
      if (nowMs - askedAtMs >= forgetMs && isIdle(value)) entries.delete(name);
    }
  }
}
