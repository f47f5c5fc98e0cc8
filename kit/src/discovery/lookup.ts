import { type Cancel, type Clock, systemClock } from "../base/clock.ts";
import { outsideContext } from "../base/context.ts";
import { FlotillaError, toFlotillaError } from "../base/errors.ts";
import { addressOf } from "../base/service-url.ts";
import { decodeText } from "../base/text.ts";
import { type Directory, instancesMax } from "./directory.ts";

/** Options of every directory. */
export interface DirectoryOptions {
  /** Milliseconds between two looks, about; where the source says how long its answer is good, sooner if that is less. */
  readonly intervalMs?: number | undefined;
  /**
   * Hears, once for each kind, why the last known good list is kept: the directory cannot be reached or watched
   * (`unavailable`), or says what cannot be (`failed_precondition`, reason `directory_malformed`).
   */
  readonly onProblem?: ((problem: FlotillaError) => void) | undefined;
  readonly clock?: Clock | undefined;
  /** 0 to 1, so that many processes do not look at the same moment. */
  readonly random?: (() => number) | undefined;
}

export interface Found {
  readonly urls: readonly string[];
  /** For how long the source says that it is good. Milliseconds. */
  readonly ttlMs?: number | undefined;
}

export interface Source {
  /** What is looked into, for people; without a password. */
  readonly title: string;
  /** Asks now. `ended` aborts when nobody waits any more. Rejects with anything. */
  look(ended: AbortSignal): Promise<Found>;
  /** Says by `changed`, from the next turn on, that it is worth a look now. @returns stops. */
  listen?(changed: () => void): () => void;
  readonly intervalMs: number;
}

/** One look, however slow the other side is. Milliseconds. */
const lookMsMax = 5_000;
/** However short an answer is good, and however often the source says that it has changed. Milliseconds. */
const intervalMsMin = 100;
/** After a look that failed, twice as long after each that follows, and never more than between two good ones. Milliseconds. */
const retryMsMin = 1_000;

/**
 * A directory that looks again and again. What it found last holds when it finds nothing, cannot look, or finds what
 * cannot be: an address that is none makes the whole answer void, for half of it may be missing.
 */
export function makeLookup(source: Source, options: DirectoryOptions = {}): Directory {
  const { clock = systemClock, random = Math.random, onProblem } = options;
  const intervalMs = options.intervalMs ?? source.intervalMs;
  return { watch: (tell) => outsideContext(() => watch(tell)) };

  function watch(tell: (urls: readonly string[]) => void): () => void {
    const over = new AbortController();
    let known = "";
    const problems = new Problems(source.title, onProblem);
    let failures = 0;
    let cancelNext: Cancel = () => {};
    let lookedAtMs = Number.NEGATIVE_INFINITY;
    let isLooking = false;
    let isStale = false;
    const stopListening = source.listen?.(() => {
      isStale = true;
      if (!isLooking) lookIn(0);
    });
    lookIn(0);
    return () => {
      if (over.signal.aborted) return;
      over.abort();
      cancelNext();
      stopListening?.();
    };

    function lookIn(waitMs: number): void {
      cancelNext();
      if (over.signal.aborted) return;
      const soonestMs = lookedAtMs + intervalMsMin - clock.monotonicMs();
      if (waitMs <= 0 && soonestMs <= 0) void look();
      else cancelNext = clock.after(Math.max(waitMs, soonestMs), () => void look());
    }

    async function look(): Promise<void> {
      isLooking = true;
      isStale = false;
      const waitMs = await lookOnce();
      isLooking = false;
      lookedAtMs = clock.monotonicMs();
      lookIn(isStale ? 0 : waitMs * (0.75 + random() / 2));
    }

    /** @returns for how long that does. */
    async function lookOnce(): Promise<number> {
      try {
        const { urls, ttlMs = intervalMs } = await lookInTime(source, over.signal, clock);
        if (over.signal.aborted) return intervalMs;
        const checked = check(urls, source.title);
        problems.end();
        failures = 0;
        const found = checked.join("\n");
        if (found !== known) tell(checked);
        known = found;
        return Math.min(ttlMs, intervalMs);
      } catch (thrown) {
        if (!over.signal.aborted) problems.report(thrown);
        return Math.min(retryMsMin * 2 ** failures++, intervalMs);
      }
    }
  }
}

/** Tells of each problem once, until it is another or has ended. */
class Problems {
  readonly #title: string;
  readonly #tell: DirectoryOptions["onProblem"];
  #last = "";

  constructor(title: string, tell: DirectoryOptions["onProblem"]) {
    this.#title = title;
    this.#tell = tell;
  }

  report(thrown: unknown): void {
    const isOurs = thrown instanceof FlotillaError;
    const message = `${this.#title} cannot be looked into`;
    const found = isOurs ? toFlotillaError(thrown) : new FlotillaError("unavailable", message, { cause: thrown });
    const kind = `${found.code} ${found.message}`;
    if (kind === this.#last) return;
    this.#last = kind;
    this.#tell?.(found);
  }

  end(): void {
    this.#last = "";
  }
}

/** For sources: what they found is not what a directory says. */
export function malformed(title: string, what: string): FlotillaError {
  return new FlotillaError("failed_precondition", `${title}: ${what}`, { reason: "directory_malformed" });
}

/** For sources: the text of `bytes`. @throws FlotillaError as `malformed` makes it. */
export function textOf(bytes: Uint8Array, title: string): string {
  try {
    return decodeText(bytes, title);
  } catch {
    throw malformed(title, "it is not valid UTF-8");
  }
}

/** In one order, so that another order is no change. */
function check(urls: readonly string[], title: string): string[] {
  const distinct = [...new Set(urls)].sort();
  if (distinct.length === 0) throw malformed(title, "it names no instance");
  if (distinct.length > instancesMax) throw malformed(title, `it names more than ${instancesMax} instances`);
  const wrong = distinct.findIndex((url) => !isAddress(url));
  if (wrong >= 0)
    throw malformed(title, `${JSON.stringify(distinct[wrong]!.slice(0, 100))} is no address of a service`);
  return distinct;
}

function isAddress(url: string): boolean {
  try {
    addressOf(url);
    return true;
  } catch {
    return false;
  }
}

async function lookInTime(source: Source, over: AbortSignal, clock: Clock): Promise<Found> {
  const ended = new AbortController();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const end = () => {
    ended.abort();
    reject(new FlotillaError("unavailable", `${source.title} does not answer`));
  };
  const cancel = clock.after(lookMsMax, end);
  over.addEventListener("abort", end, { once: true });
  try {
    return await Promise.race([source.look(ended.signal), late]);
  } finally {
    cancel();
    over.removeEventListener("abort", end);
  }
}
