// Loaded into each service by the process harness, through probe.ts: kills it at a step, when that is asked for over IPC.
// Nothing of it is in the services: it stands around the driver of the store and the sockets that they use.
import { DatabaseSync, type SQLInputValue, StatementSync } from "node:sqlite";
import { WebSocket } from "ws";

/** A step: a statement of SQL, or a frame that comes in or goes out. Whatever has `text` in it. */
export interface Failpoint {
  readonly at: "sql" | "in" | "out";
  readonly text: string;
  /** `after`: what the step does is done, and nothing else is. */
  readonly when: "before" | "after";
  /** Of those that match the how-manieth, from 1. */
  readonly occurrence: number;
}

let armed: { readonly point: Failpoint; left: number } | undefined;

/** Whether this is the step; counted once for each time that it is asked. */
function isIt(at: Failpoint["at"], text: string): Failpoint | undefined {
  if (armed?.point.at !== at || !text.includes(armed.point.text)) return undefined;
  armed.left -= 1;
  return armed.left === 0 ? armed.point : undefined;
}

/** SIGKILL to oneself is carried out before the call returns. */
function die(): void {
  process.kill(process.pid, "SIGKILL");
}

function around<R>(point: Failpoint | undefined, step: () => R): R {
  if (point?.when === "before") die();
  const result = step();
  if (point) die();
  return result;
}

const { exec } = DatabaseSync.prototype;
DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string) {
  return around(isIt("sql", sql), () => exec.call(this, sql));
};

const all = StatementSync.prototype.all as (...values: SQLInputValue[]) => ReturnType<StatementSync["all"]>;
StatementSync.prototype.all = function (this: StatementSync, ...values: SQLInputValue[]) {
  return around(isIt("sql", this.sourceSQL), () => all.apply(this, values));
} as StatementSync["all"];

const { emit } = WebSocket.prototype;
const send = WebSocket.prototype.send as (frame: string, ...rest: unknown[]) => void;
WebSocket.prototype.emit = function (this: WebSocket, name: string, ...values: unknown[]) {
  const point = name === "message" ? isIt("in", String(values[0])) : undefined;
  return around(point, () => emit.call(this, name, ...values));
} as typeof emit;

WebSocket.prototype.send = function (this: WebSocket, frame: string, ...rest: unknown[]) {
  const point = isIt("out", frame);
  if (point?.when === "before") die();
  // It has left the process when the socket says so.
  if (point) send.call(this, frame, {}, die);
  else send.call(this, frame, ...rest);
} as WebSocket["send"];

process.on("message", (message: { type?: unknown; point?: Failpoint } | null) => {
  if (message?.type !== "failpoint" || !message.point) return;
  armed = { point: message.point, left: message.point.occurrence };
  process.send?.({ type: "failpoint" });
});
