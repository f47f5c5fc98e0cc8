import type { ErrorCode } from "./errors.ts";

/** A call that a boundary answered. */
export interface AnsweredCall {
  /** Names of a contract and of one of its methods: as many as there are, and nothing a caller wrote. */
  readonly contract: string;
  readonly method: string;
  /** From when it arrived, the wait for its turn included. Milliseconds. */
  readonly ms: number;
  /** Undefined for one that was carried out. */
  readonly code: ErrorCode | undefined;
}

/** Hears of each call that was answered; for counting. It must not throw. */
export type OnAnswered = (call: AnsweredCall) => void;
