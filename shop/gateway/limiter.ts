import { type Clock, FlotillaError, networksOf } from "@flotilla/kit";
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";

/**
 * Counts by key. `consume` rejects with a `RateLimiterRes` above the limit; other methods as the package documents them.
 * In memory, so each gateway process counts for itself; a shared store, such as `RateLimiterRedis`, has the same type.
 */
export type Limiter = RateLimiterAbstract;

export interface LimiterOptions {
  readonly clock: Clock;
  /** Per key, in each window. */
  readonly points: number;
  /** A key's window begins with its first point. */
  readonly windowMs: number;
  /** Keys kept; above it the one that was not used longest goes, and may begin anew. An entry takes about 200 B. */
  readonly entriesMax: number;
}

/** The package's memory limiter, with a storage of ours: its own has no bound, and a timer for each key. */
export function makeLimiter({ clock, points, windowMs, entriesMax }: LimiterOptions): Limiter {
  return new BoundedLimiter(points, windowMs / 1_000, new BoundedStorage(clock, entriesMax));
}

/** A counter of one network, or of a wider one around it. */
interface Nested<Counter> {
  readonly counter: Counter;
  readonly name: string;
}

/**
 * Counters for a network and for the wider networks around one of IPv6: one of `make` for each width, made when
 * the first network of it is met. `times` is how many times the budget of one address that width has.
 */
export function makeNested<Counter>(make: (times: number) => Counter): (network: string) => Nested<Counter>[] {
  const counters = new Map<number, Counter>();
  return (network) =>
    networksOf(network).map(({ name, times }) => {
      const counter = counters.get(times) ?? make(times);
      counters.set(times, counter);
      return { counter, name };
    });
}

class BoundedLimiter extends RateLimiterMemory {
  /** Where `RateLimiterMemory` looks. A field of the package's own: limiter.test.ts notices when another is read. */
  readonly _memoryStorage: BoundedStorage;

  constructor(points: number, duration: number, storage: BoundedStorage) {
    super({ points, duration, keyPrefix: "" });
    this._memoryStorage = storage;
  }
}

interface Entry {
  points: number;
  readonly endsAtMs: number;
}

/** What `RateLimiterMemory` asks of its storage; all time is the clock's. */
class BoundedStorage {
  readonly #clock: Clock;
  readonly #entriesMax: number;
  /** The most recently used last. */
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock, entriesMax: number) {
    this.#clock = clock;
    this.#entriesMax = entriesMax;
  }

  incrby(key: string, points: number, seconds: number): RateLimiterRes {
    const entry = this.#live(key);
    if (!entry) {
      // What is given back after its window has ended would be points for nothing.
      return points < 0 ? new RateLimiterRes(0, 0, 0, true) : this.set(key, points, seconds);
    }
    entry.points = Math.max(0, entry.points + points);
    this.#keep(key, entry);
    return this.#seen(entry, false);
  }

  set(key: string, points: number, seconds: number): RateLimiterRes {
    const entry: Entry = { points, endsAtMs: this.#clock.monotonicMs() + seconds * 1_000 };
    this.#keep(key, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#entriesMax) break;
      this.#entries.delete(oldest);
    }
    return this.#seen(entry, true);
  }

  get(key: string): RateLimiterRes | null {
    const entry = this.#live(key);
    return entry ? this.#seen(entry, false) : null;
  }

  delete(key: string): boolean {
    return this.#entries.delete(key);
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (!entry || entry.endsAtMs > this.#clock.monotonicMs()) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  #keep(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  #seen({ points, endsAtMs }: Entry, isFirst: boolean): RateLimiterRes {
    return new RateLimiterRes(0, Math.max(0, endsAtMs - this.#clock.monotonicMs()), points, isFirst);
  }
}

/** A refusal of ours, as opposed to one of a service behind us: nothing was forwarded. */
export class LimitReached extends FlotillaError {
  constructor(message: string, { reason, waitMs }: { readonly reason: string; readonly waitMs?: number }) {
    super("resource_exhausted", message, {
      reason,
      ...(waitMs !== undefined && { retryAfterMs: Math.max(1, Math.ceil(waitMs)) }),
    });
  }
}

/** What `consume` refused; rethrows a fault of the store's. */
export function refusalIn(thrown: unknown): RateLimiterRes {
  if (thrown instanceof RateLimiterRes) return thrown;
  throw thrown;
}
