import { createInterface } from "node:readline";
import { type Cancel, type Clock, systemClock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { type Backoff, backoffMs } from "../resilience/backoff.ts";
import { answerBytesMax, type EtcdPlace, failed, isObject, keysOf, parseObject, postToEtcd } from "./etcd.ts";

/** Who hears of a watch, and by what it waits. */
export interface EtcdWatchOptions {
  /** It is worth a look: a key has changed, or one may have while nobody watched. */
  changed(): void;
  /** Hears, once in a row, that there is no watch to be had. */
  readonly onProblem?: ((problem: FlotillaError) => void) | undefined;
  readonly clock?: Clock | undefined;
  /** 0 to 1, for the jitter of the waits. */
  readonly random?: (() => number) | undefined;
}

/** Until etcd says that it watches. Milliseconds. */
const beginMsMax = 5_000;
/** A watch that ends sooner counts as one more failure. Milliseconds. */
const settledMs = 1_000;
/** Between two watches. */
const backoff: Backoff = { minMs: 200, maxMs: 10_000, growth: 2 };
/** An etcd that is gone without a word is noticed some ten seconds after so long a silence. Milliseconds. */
const keepAliveMs = 10_000;

/**
 * Watches the keys that begin with a prefix through etcd's JSON gateway (`/v3/watch`), and opens another watch when one ends,
 * after growing and jittered waits. What changed is not heeded: that something did is a reason to read the keys. So a watch
 * begins with what comes next and is followed by a look, no revision has to be remembered that etcd might have forgotten
 * (compaction), and nothing that a watch says can make the list wrong.
 *
 * @returns ends it; idempotent.
 */
export function watchEtcd(place: EtcdPlace, options: EtcdWatchOptions): () => void {
  const { changed, onProblem, clock = systemClock, random = Math.random } = options;
  let failures = 0;
  let cancelNext: Cancel = () => {};
  let endWatch = openWatch(place, { changed, onEnd, clock });
  return () => {
    cancelNext();
    endWatch();
  };

  function onEnd(why: FlotillaError, lastedMs: number): void {
    if (lastedMs >= settledMs) failures = 0;
    // One that ends is opened anew without a word; that this fails is worth one.
    if (failures === 1) onProblem?.(why);
    const waitMs = backoffMs(failures, backoff, random);
    failures += 1;
    cancelNext = clock.after(waitMs, () => {
      endWatch = openWatch(place, { changed, onEnd, clock });
    });
    changed();
  }
}

interface Listener {
  changed(): void;
  /** It has ended by itself. @param lastedMs since etcd began to watch; 0 when it did not. */
  onEnd(why: FlotillaError, lastedMs: number): void;
  readonly clock: Clock;
}

/** One watch. @returns ends it, of which `onEnd` does not hear. */
function openWatch(place: EtcdPlace, { changed, onEnd, clock }: Listener): () => void {
  const over = new AbortController();
  const { signal } = over;
  let begunAtMs: number | undefined;
  const asked = postToEtcd(place, "/v3/watch", { create_request: keysOf(place) }, signal);
  const cancelLate = clock.after(beginMsMax, () => end(failed("it begins no watch")));
  asked.on("error", (cause) => {
    end(new FlotillaError("unavailable", `etcd, ${place.prefix} cannot be watched`, { cause }));
  });
  asked.on("close", () => end(failed("it ended the watch")));
  // Who does nothing but watch has nothing to do.
  asked.on("socket", (socket) => socket.setKeepAlive(true, keepAliveMs).unref());
  asked.on("response", (answer) => {
    if (answer.statusCode !== 200) return end(failed(`it answered the watch with HTTP ${answer.statusCode}`));
    let bytes = 0;
    answer.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      // Of one that lived for long it is no fault; the next one begins to count anew.
      if (bytes > answerBytesMax) end(failed("its watch says too much"));
    });
    const lines = createInterface({ input: answer, crlfDelay: Number.POSITIVE_INFINITY }).on("line", heed);
    // Of an answer that is cut off both say so, and so does what was asked.
    for (const it of [answer, lines]) it.on("error", () => {});
  });
  return stop;

  function heed(line: string): void {
    if (signal.aborted) return;
    const said = parseObject(line);
    const result = said?.result;
    if (said?.error) end(failed("its watch failed", said.error));
    else if (!isObject(result)) end(failed("its watch says what cannot be"));
    else if (result.canceled) end(failed("it cancelled the watch", result.cancel_reason));
    else if (result.created) {
      cancelLate();
      begunAtMs ??= clock.monotonicMs();
      changed();
    } else if (Array.isArray(result.events)) changed();
  }

  function end(why: FlotillaError): void {
    if (signal.aborted) return;
    stop();
    onEnd(why, begunAtMs === undefined ? 0 : clock.monotonicMs() - begunAtMs);
  }

  function stop(): void {
    cancelLate();
    over.abort();
  }
}
