import { type Clock, FlotillaError, networksOf } from "@flotilla/kit";
import { RecentlyUsed } from "./recently-used.ts";

export interface LimiterOptions {
  readonly clock: Clock;
  /** Per key, in each window. */
  readonly points: number;
  /** A key's window begins with its first point. */
  readonly windowMs: number;
  /** Keys kept; above it the one that was not used longest goes, and may begin anew. An entry takes about 200 B. */
  readonly entriesMax: number;
}

interface Window {
  points: number;
  readonly endsAtMs: number;
  readonly isBlocked: boolean;
}

/**
 * Counts points by key in fixed windows. In memory, so each gateway process counts for itself. Nothing is awaited: a call that
 * asks several limiters counts in all of them before the next call asks (docs/decisions/0025-own-rate-windows.md).
 */
export class Limiter {
  readonly #clock: Clock;
  readonly #points: number;
  readonly #windowMs: number;
  readonly #windows: RecentlyUsed<Window>;

  constructor({ clock, points, windowMs, entriesMax }: LimiterOptions) {
    this.#clock = clock;
    this.#points = points;
    this.#windowMs = windowMs;
    this.#windows = new RecentlyUsed(entriesMax);
  }

  /** Counts nothing. @returns how long `key` waits before it may have `points` more; 0 when it may now. Milliseconds. */
  waitMs(key: string, points = 1): number {
    const window = this.#open(key);
    const fits = (window?.points ?? 0) + points <= this.#points;
    return fits ? 0 : (window?.endsAtMs ?? this.#nowMs + this.#windowMs) - this.#nowMs;
  }

  /** In the window that is open. */
  count(key: string): number {
    return this.#open(key)?.points ?? 0;
  }

  /** Counts, even above the limit. @returns the count. */
  add(key: string, points = 1): number {
    const window = this.#open(key);
    if (!window) {
      this.#begin(key, { points, ms: this.#windowMs, isBlocked: false });
      return points;
    }
    window.points += points;
    return window.points;
  }

  /** Takes points back out of the open window, unless it is blocked. A window that has ended has none to give back. */
  giveBack(key: string, points = 1): void {
    const window = this.#open(key);
    if (window && !window.isBlocked) window.points = Math.max(0, window.points - points);
  }

  /** For so long `key` has nothing left. Milliseconds. */
  block(key: string, ms: number): void {
    this.#begin(key, { points: this.#points + 1, ms, isBlocked: true });
  }

  forget(key: string): void {
    this.#windows.delete(key);
  }

  get #nowMs(): number {
    return this.#clock.monotonicMs();
  }

  #begin(key: string, { points, ms, isBlocked }: { points: number; ms: number; isBlocked: boolean }): void {
    const nowMs = this.#nowMs;
    this.#windows.set(key, { points, endsAtMs: nowMs + ms, isBlocked }, nowMs);
  }

  #open(key: string): Window | undefined {
    const nowMs = this.#nowMs;
    const window = this.#windows.get(key, nowMs);
    if (!window || window.endsAtMs > nowMs) return window;
    this.#windows.delete(key);
    return undefined;
  }
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

/** A refusal of ours, as opposed to one of a service behind us: nothing was forwarded. */
export class LimitReached extends FlotillaError {
  constructor(message: string, { reason, waitMs }: { readonly reason: string; readonly waitMs?: number }) {
    super("resource_exhausted", message, {
      reason,
      ...(waitMs !== undefined && { retryAfterMs: Math.max(1, Math.ceil(waitMs)) }),
    });
  }
}
