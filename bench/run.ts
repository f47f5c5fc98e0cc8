// One run of load: what is asked of the load process, and what it answers.

/** Offered until the time is over; only what is answered within it counts for the rate. */
export type Load = ClosedLoad | OpenLoad;

/** Each of `clients` places one order after the other. */
export interface ClosedLoad {
  readonly kind: "closed";
  readonly clients: number;
  readonly seconds: number;
  /** Measured from the first order on. Default: after as many as come in a quarter of the time. */
  readonly isCold?: boolean;
}

/** Orders begin when they are due, however late the answers to those before are. */
export interface OpenLoad {
  readonly kind: "open";
  /** On average, in a second. */
  readonly rate: number;
  readonly seconds: number;
  /** Of the arrival times: the same ones for the same rate. */
  readonly seed: number;
}

export interface RunRequest {
  readonly type: "run";
  readonly load: Load;
  /** Of the servers: users, orders, gateway. */
  readonly pids: readonly number[];
}

export interface RunResult {
  /** Per second. */
  readonly rate: number;
  /** Milliseconds: in an open loop from when the order was due, so that a stall counts for all who would have met it. */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
  readonly failed: number;
  /** Seconds of a processor, for 1,000 orders: the servers together, and the load process. */
  readonly serverCpu: number | null;
  readonly loadCpu: number;
  /** Of each server, the same. */
  readonly usersCpu: number | null;
  readonly ordersCpu: number | null;
  readonly gatewayCpu: number | null;
  /** Of the servers together, at the end. */
  readonly residentMiB: number | null;
  /** For one order: what the client writes, and what all do together, on whatever they write to. */
  readonly clientBytes: number | null;
  readonly bytes: number | null;
  readonly clientWrites: number | null;
  readonly writes: number | null;
  /** Processors that programs beside ours kept busy: with more than a quarter of one, the run is no measurement. */
  readonly foreignCpus: number | null;
}

/** `acknowledged`: all orders since the process started, also those outside of what was measured. */
export type RunAnswer =
  | { readonly type: "result"; readonly result: RunResult; readonly acknowledged: number }
  | { readonly type: "failed"; readonly message: string };
