import { type Cancel, type Clock, systemClock } from "../base/clock.ts";
import { outsideContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";
import { addressOf } from "../base/service-url.ts";
import { askEtcd, checkPlace, type EtcdPlace, failed, isObject, toBase64 } from "./etcd.ts";

/** Options of `registerInEtcd`. */
export interface RegistrationOptions {
  /** The run that is registered: the last part of its key. */
  readonly instance: string;
  /** Where it is reached, as `ConnectOptions.url`. */
  readonly address: string;
  /** After so long without a word of ours etcd forgets it. Whole seconds, default 10, at least 2. */
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
 * @throws TypeError for a `place` or `address` that is none, or a `ttlSeconds` below 2 or with a fraction.
 */
export function registerInEtcd(place: EtcdPlace, options: RegistrationOptions): Registration {
  const { instance, address, ttlSeconds = 10, clock = systemClock, onProblem } = options;
  checkPlace(place);
  addressOf(address);
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 2) throw new TypeError("ttlSeconds is no whole number from 2 on");
  const key = toBase64(`${place.prefix}${instance}`);
  const ask = askingAt(place, clock);
  const first = Promise.withResolvers<void>();
  const over = new AbortController();
  let lease: string | undefined;
  let isWritten = false;
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
      await write();
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

  /** Each step that has not been done, or not with the lease that is good now. */
  async function write(): Promise<void> {
    if (lease !== undefined && !(await isRenewed(ask("/v3/lease/keepalive", { ID: lease }, over.signal)))) {
      lease = undefined;
      isWritten = false;
    }
    if (lease === undefined) {
      const { ID } = await ask("/v3/lease/grant", { TTL: String(ttlSeconds) }, over.signal);
      if (typeof ID !== "string") throw failed("it grants no lease");
      lease = ID;
    }
    if (isWritten) return;
    await ask("/v3/kv/put", { key, value: toBase64(address), lease }, over.signal);
    isWritten = true;
  }

  /** The lease takes the key with it, also one whose writing nobody has confirmed. */
  async function forget(): Promise<void> {
    first.resolve();
    if (lease !== undefined) await ask("/v3/lease/revoke", { ID: lease }).catch(() => {});
  }
}

/** @param answer to the question whether a lease is good. */
async function isRenewed(answer: ReturnType<Ask>): Promise<boolean> {
  const { result } = await answer;
  if (!isObject(result)) throw failed("it renews no lease");
  // A lease that etcd does not know is answered without a time to live.
  return Number(result.TTL) > 0;
}

type Ask = (path: string, question: object, ended?: AbortSignal) => Promise<Record<string, unknown>>;

/** Asks etcd, for as long as a question may take and has not ended. */
function askingAt(place: EtcdPlace, clock: Clock): Ask {
  return async (path, question, ended) => {
    ended?.throwIfAborted();
    const stop = new AbortController();
    const abort = () => stop.abort();
    const cancel = clock.after(askMsMax, abort);
    ended?.addEventListener("abort", abort);
    try {
      return await askEtcd(place, path, question, stop.signal);
    } finally {
      cancel();
      ended?.removeEventListener("abort", abort);
    }
  };
}
