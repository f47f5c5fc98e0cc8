import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { FromHonest, HonestCall, ToHonest } from "./honest.child.ts";

/** The customer's process, from here. */
export interface Honest {
  readonly token: string;
  begin(): void;
  /** Resolves when `count` more calls have been answered. */
  answered(count: number): Promise<void>;
  /** Stops shopping; `calls` is complete then. */
  end(): Promise<void>;
  calls(): readonly HonestCall[];
  close(): Promise<void>;
}

/** @param pauseMs between two calls. */
export async function startHonest(url: string, pauseMs = 20): Promise<Honest> {
  const child = fork(fileURLToPath(new URL("honest.child.ts", import.meta.url)), [url, String(pauseMs)]);
  let calls: readonly HonestCall[] = [];
  let count = 0;
  child.on("message", (message: FromHonest) => {
    if (message.type === "called") count = message.count;
    if (message.type === "report") calls = message.calls;
  });
  const token = (await next(child, "ready")).token;
  return {
    token,
    begin() {
      count = 0;
      child.send({ type: "begin" } satisfies ToHonest);
    },
    async answered(more) {
      const wanted = count + more;
      while (count < wanted) await next(child, "called");
    },
    async end() {
      const report = next(child, "report");
      child.send({ type: "end" } satisfies ToHonest);
      await report;
    },
    calls: () => calls,
    async close() {
      const exit = once(child, "exit");
      child.disconnect();
      await exit;
    },
  };
}

type Said<T extends FromHonest["type"]> = Extract<FromHonest, { readonly type: T }>;

function next<T extends FromHonest["type"]>(child: ChildProcess, type: T): Promise<Said<T>> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: FromHonest) => {
      if (message.type !== type) return;
      child.off("message", onMessage);
      child.off("exit", onExit);
      resolve(message as Said<T>);
    };
    const onExit = (code: number | null) => reject(new Error(`the honest customer's process ended with ${code}`));
    child.on("message", onMessage);
    child.once("exit", onExit);
  });
}
