import type { Cancel, Clock } from "../base/clock.ts";
import { outsideContext, withContext } from "../base/context.ts";
import { hasCode, reasonOf } from "../base/errors.ts";
import { answerMsMax, askIntervalMs } from "../base/limits.ts";
import { stoppingReason } from "../rpc/stopping.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";
import type { Session } from "../session/session.ts";
import type { BrowserChannel } from "./channel.ts";

/** No contract can list it: it is no JavaScript name. So every peer answers at once that it has none, a stock one too. */
const noMethod = "flotilla:alive";

/**
 * Asks the peer something that costs it next to nothing, and rejects unless it answers in time.
 *
 * @throws FlotillaError `deadline_exceeded`; `unavailable` when the session ended, or with the reason `stopping`.
 */
export async function askAlive(session: Session, clock: Clock): Promise<void> {
  const main = session.remoteMain as RpcStub<RpcTarget & Record<typeof noMethod, () => void>>;
  try {
    await outsideContext(() => withContext({ timeoutMs: answerMsMax }, () => main[noMethod](), clock));
  } catch (error) {
    const isAnswer = !hasCode(error, "deadline_exceeded") && !hasCode(error, "unavailable");
    if (!isAnswer || reasonOf(error) === stoppingReason) throw error;
  }
}

/**
 * Cuts `channel` when the peer says nothing for `askIntervalMs` and leaves a question unanswered for `answerMsMax`.
 *
 * @returns asks at once, for when there is a reason to doubt.
 */
export function keepAlive(session: Session, channel: BrowserChannel, clock: Clock): () => void {
  let cancel: Cancel = () => {};
  let isAsking = false;
  let isOver = false;
  void session.closed.then(() => {
    isOver = true;
    cancel();
  });
  askLater();
  return () => void ask();

  function askLater(): void {
    cancel();
    if (isOver) return;
    const quietMs = clock.monotonicMs() - channel.heardAtMs;
    cancel = clock.after(Math.max(askIntervalMs - quietMs, 0), () => {
      if (clock.monotonicMs() - channel.heardAtMs >= askIntervalMs) void ask();
      else askLater();
    });
  }

  async function ask(): Promise<void> {
    if (isAsking || isOver) return;
    isAsking = true;
    const { heardCount } = channel;
    await askAlive(session, clock).catch(() => {
      // It may be busy with something long: whatever came since shows that it is there.
      if (channel.heardCount === heardCount) channel.terminate();
    });
    isAsking = false;
    askLater();
  }
}
