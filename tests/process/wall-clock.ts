// Loaded into each service by the process harness, through probe.ts: its wall clock is wrong by so much, from the start (an
// environment variable) or from when that is asked for over IPC. Timers and `performance` are left alone, as they are by a step of
// the real one.

import { wrongByVariable } from "./wrong-clock.ts";

let wrongByMs = Number(process.env[wrongByVariable] ?? 0);

const SystemDate = Date;
const { now } = SystemDate;

globalThis.Date = class extends SystemDate {
  constructor(...values: []) {
    if (values.length === 0) super(now() + wrongByMs);
    else super(...values);
  }

  static override now(): number {
    return now() + wrongByMs;
  }
} as DateConstructor;

process.on("message", (message: { type?: unknown; wrongByMs?: number } | null) => {
  if (message?.type !== "clock" || message.wrongByMs === undefined) return;
  wrongByMs = message.wrongByMs;
  process.send?.({ type: "clock" });
});
