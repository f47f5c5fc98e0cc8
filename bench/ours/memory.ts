import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What a process holds once its garbage is collected. Bytes. */
export interface Memory {
  /** Of the heap, and what its objects keep outside of it. */
  readonly heldBytes: number;
  readonly residentBytes: number;
}

/** Answers each `{ type: "memory" }` of the harness. */
export function answerMemory(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  process.on("message", (message: { type?: unknown } | null) => {
    if (message?.type !== "memory") return;
    collect();
    const { heapUsed, external, rss } = process.memoryUsage();
    const memory: Memory = { heldBytes: heapUsed + external, residentBytes: rss };
    process.send?.({ type: "memory", memory });
  });
}
