// Loaded into each service by the process harness (`node --import`): counts what lives in it, when asked over IPC.
import { EventEmitter } from "node:events";
import { queryObjects, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { RpcStub, RpcTarget } from "@flotilla/kit";
import "./failpoint.ts";
import "./wall-clock.ts";

export interface Probe {
  /** Live objects after a full collection, prototypes included, which do not change. */
  readonly targets: number;
  readonly stubs: number;
  /** Sockets, WebSockets and requests among them. */
  readonly emitters: number;
  readonly timers: number;
  /** On the process and on every open socket. */
  readonly listeners: number;
}

/** After a full collection. Bytes. */
export interface Memory {
  readonly heap: number;
  /** Buffers and the like. */
  readonly external: number;
  readonly resident: number;
}

/** A full collection, in some ten milliseconds: counting objects takes seconds, for which peers would give us up. */
const collect = (() => {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
})();

function memory(): Memory {
  collect();
  const { heapUsed: heap, external, rss: resident } = process.memoryUsage();
  return { heap, external, resident };
}

const timer = setTimeout(() => {}, 0);
const Timeout = timer.constructor as typeof Object;
clearTimeout(timer);

/** Each count stops the process for long; between two of them it answers its peers, who would give it up. */
async function probe(): Promise<Probe> {
  const count = async (type: object) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return queryObjects(type as never, { format: "count" }) as unknown as number;
  };
  return {
    targets: await count(RpcTarget),
    stubs: await count(RpcStub),
    emitters: await count(EventEmitter),
    timers: await count(Timeout),
    listeners: [process, ...activeHandles()].reduce((sum, emitter) => sum + listenersOf(emitter), 0),
  };
}

function activeHandles(): EventEmitter[] {
  const { _getActiveHandles: read } = process as unknown as { _getActiveHandles(): unknown[] };
  return read().filter((handle) => handle instanceof EventEmitter);
}

function listenersOf(emitter: EventEmitter): number {
  return emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0);
}

process.on("message", (message: { type?: unknown } | null) => {
  if (message?.type === "probe") void probe().then((counts) => process.send?.({ type: "probe", probe: counts }));
  if (message?.type === "memory") process.send?.({ type: "memory", memory: memory() });
});
