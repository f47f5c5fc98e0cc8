import { type Clock, systemClock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { linkLimits } from "../base/limits.ts";
import { afterTurn } from "../base/platform.ts";
import { codedError } from "../rpc/read-error.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import { openSession } from "../session/session.ts";
import type { Channel, ChannelEvents } from "../transport/channel.ts";

/** Options of `openBatch`. */
export interface OpenBatchOptions {
  /** The address for batches: `https://host/rpc/batch` of a service of this kit, or the path of a stock server. */
  readonly url: string;
  /** Ends it; calls then reject with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Posts `body` and resolves with the body of the answer; calls reject with the same error. Default: `fetch`. */
  readonly post?: (body: string) => Promise<string>;
  readonly clock?: Clock;
}

/** One HTTP request as a session. Disposing it drops what has not come. */
export interface OpenBatch<T> extends Disposable {
  /** The server's main object. Borrowed. */
  readonly main: RpcStub<T>;
}

/**
 * A session of one HTTP request: calls made until the end of this turn of the event loop are posted together, and those
 * awaited by then are answered. Later calls fail.
 */
export function openBatch<T extends RpcTarget>(options: OpenBatchOptions): OpenBatch<T> {
  const dropped = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, dropped.signal]) : dropped.signal;
  const { clock = systemClock, post = (body: string) => postByFetch(options.url, signal, body) } = options;
  const session = openSession(makeBatchChannel(post), { clock, limits: linkLimits });
  return {
    main: session.remoteMain as unknown as RpcStub<T>,
    [Symbol.dispose]() {
      session.close(ended);
      dropped.abort();
    },
  };
}

/** Shared, since its stack would tell nothing. */
const ended = new FlotillaError("unavailable", "The batch has ended", { reason: "batch_ended", retryable: false });

function makeBatchChannel(post: (body: string) => Promise<string>): Channel {
  let events: ChannelEvents | undefined;
  let lines: string[] | undefined = [];
  let isOver = false;
  afterTurn(() => void send());
  return {
    framing: "capnweb",
    listen(listener) {
      events = listener;
    },
    send(line) {
      lines?.push(line);
    },
    bufferedBytes: () => 0,
    close: () => over(ended),
    terminate: () => over(ended),
  };

  async function send(): Promise<void> {
    const body = lines!.join("\n");
    lines = undefined;
    if (isOver) return;
    try {
      const answer = body === "" ? "" : await post(body);
      for (const line of answer.split("\n")) if (!isOver && line !== "") events?.frame(line);
      over(ended);
    } catch (error) {
      over(error as FlotillaError);
    }
  }

  function over(reason: FlotillaError): void {
    if (isOver) return;
    isOver = true;
    events?.closed(reason);
  }
}

async function postByFetch(url: string, signal: AbortSignal, body: string): Promise<string> {
  const response = await fetch(url, { method: "POST", body, signal }).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw new FlotillaError("unavailable", `${url} cannot be reached`, { cause });
  });
  const text = await response.text();
  if (response.ok) return text;
  throw refusalIn(text) ?? new FlotillaError("unavailable", `${url} refused the batch: HTTP ${response.status}`);
}

/** One of ours says in the body why. */
function refusalIn(text: string): FlotillaError | undefined {
  try {
    const { message, ...fields } = JSON.parse(text) as Record<string, unknown>;
    return typeof message === "string" ? codedError(message, fields) : undefined;
  } catch {
    return undefined;
  }
}
