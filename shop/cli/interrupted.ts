import type { StopSignal } from "../supervisor/stop-signals.ts";

/** The person has ended the command. */
export class Interrupted extends Error {
  readonly signal: StopSignal;

  constructor(signal: StopSignal) {
    super(`Ended by ${signal}`);
    this.signal = signal;
  }
}
