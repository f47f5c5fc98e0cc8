import { type Cancel, type Clock, systemClock } from "../base/clock.ts";
import { outsideContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { addressOf } from "../session/service-url.ts";
import { askEtcd, type EtcdPlace, toBase64 } from "./etcd.ts";

/** What is registered, and for how long at a time. */
export interface RegistrationOptions {
  /** Of the instance that is registered: the last part of its key. */
  readonly instance: string;
  /** Where it is reached, as `ConnectOptions.url`. */
  readonly address: string;
  /** After so long without a word of ours etcd forgets it. Seconds, default 10, at least 2. */
  readonly ttlSeconds?: number;
  /** Hears, once in a row, that etcd cannot be told. */
  readonly onProblem?: ((problem: FlotillaError) => void) | undefined;
  readonly clock?: Clock;
}

/** An instance that is written down in etcd for as long as this process says that it is there. */
export interface Registration {
  /** Resolves when it is written down for the first time. */
  readonly registered: Promise<void>;
  /** Takes it out; to be called before the service drains. Never rejects: what etcd is not told it forgets by itself. */
  end(): Promise<void>;
}

/** One question to etcd. Milliseconds. */
const askMsMax = 2_000;

/**
 * Writes the instance down under a lease, and renews the lease three times in its life. When etcd has forgotten it, or was
 * away, it is written down anew: the registration goes on until `end`.
 *
 * @throws TypeError for an `address` that is none, or a `ttlSeconds` below 2.
 */
export function registerInEtcd(place: EtcdPlace, options: RegistrationOptions): Registration {
  const { instance, address, ttlSeconds = 10, clock = systemClock, onProblem } = options;
  addressOf(address);
  if (!(ttlSeconds >= 2)) throw new TypeError("ttlSeconds is less than 2");
  const key = toBase64(`${place.prefix}${instance}`);
  const first = Promise.withResolvers<void>();
  const over = new AbortController();
  let lease: string | undefined;
  let cancelNext: Cancel = () => {};
  let hasProblem = false;
  let turn = outsideContext(beat);

  return {
    registered: first.promise,
    async end() {
      if (over.signal.aborted) return turn;
      over.abort();
      cancelNext();
      turn = turn.then(forget);
      return turn;
    },
  };

  async function beat(): Promise<void> {
    try {
      if (lease === undefined || !(await isRenewed(lease))) await write();
      hasProblem = false;
      first.resolve();
    } catch (cause) {
      if (!hasProblem && !over.signal.aborted) {
        onProblem?.(new FlotillaError("unavailable", "etcd cannot be told of this instance", { cause }));
      }
      hasProblem = true;
    }
    if (over.signal.aborted) return;
    cancelNext = clock.after((ttlSeconds * 1_000) / 3, () => {
      turn = beat();
    });
  }

  async function write(): Promise<void> {
    const { ID } = await ask("/v3/lease/grant", { TTL: String(ttlSeconds) });
    if (typeof ID !== "string") throw new FlotillaError("unavailable", "etcd granted no lease");
    lease = ID;
    await ask("/v3/kv/put", { key, value: toBase64(address), lease });
  }

  async function isRenewed(ID: string): Promise<boolean> {
    const { result } = await ask("/v3/lease/keepalive", { ID });
    // A lease that etcd does not know is answered without a time to live.
    const isKnown = Number((result as { TTL?: unknown } | undefined)?.TTL) > 0;
    if (!isKnown) lease = undefined;
    return isKnown;
  }

  /** The lease takes the key with it. */
  async function forget(): Promise<void> {
    first.resolve();
    if (lease !== undefined) await ask("/v3/lease/revoke", { ID: lease }).catch(() => {});
  }

  async function ask(path: string, question: object): Promise<Record<string, unknown>> {
    const late = new AbortController();
    const cancel = clock.after(askMsMax, () => late.abort());
    try {
      return await askEtcd(place, path, question, late.signal);
    } finally {
      cancel();
    }
  }
}
