import { Worker } from "node:worker_threads";
import type { HashOutcome, HashWork } from "./argon.ts";

/** Hashes in a thread of its own, one piece of work at a time. */
export interface HashThread {
  /** To be called when the work before has settled. Rejects when a hash cannot be read, or the thread ended. */
  run(work: HashWork): Promise<string | boolean>;
}

/** The thread starts with the first work, and again after one that ended; it keeps no process alive that has none. */
export function makeHashThread(): HashThread {
  let worker: Worker | undefined;
  return {
    async run(work) {
      worker ??= start();
      worker.ref();
      try {
        return await ask(worker, work);
      } finally {
        worker?.unref();
      }
    },
  };

  function start(): Worker {
    const started = new Worker(new URL("argon-thread.ts", import.meta.url));
    started.once("exit", () => {
      if (worker === started) worker = undefined;
    });
    return started;
  }
}

function ask(worker: Worker, work: HashWork): Promise<string | boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<string | boolean>();
  const onMessage = (outcome: HashOutcome) => {
    if ("result" in outcome) resolve(outcome.result);
    else reject(new Error(outcome.failure));
  };
  const onError = (error: Error) => reject(error);
  const onExit = () => reject(new Error("the thread that hashes has ended"));
  worker.once("message", onMessage).once("error", onError).once("exit", onExit);
  worker.postMessage(work);
  return promise.finally(() => worker.off("message", onMessage).off("error", onError).off("exit", onExit));
}
