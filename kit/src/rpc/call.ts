import type { CallContext } from "../base/context.ts";
import type { Ref } from "./ref.ts";
import type { SessionEnv } from "./session-env.ts";
import type { WireStream } from "./wire-stream.ts";

/** A call on an object of this process, as the object sees it. */
export interface Call {
  readonly context: CallContext;
  /** The session the call came by; undefined for a call from this process. */
  readonly env: SessionEnv | undefined;
  /** Whether its arguments hold nothing but what JSON has. */
  readonly isPlain: boolean;
  /** The peer's streams among its arguments, which end with it. Whoever runs it takes them, or refuses it. */
  readonly streams: readonly WireStream[];
  /** The call was answered, or its time is over: a later result is dropped and disposed. */
  readonly isSettled: boolean;
  /** Answers it with what a method returned: data, a target, a stub, or the promise of one. Takes the capabilities in it. */
  returned(value: unknown): void;
  /** Answers with data. @throws TypeError when `value` holds anything else; FlotillaError when it is too large. */
  returnedData(value: unknown): void;
  /** Answers with the outcome of `ref`, which it takes. */
  relay(ref: Ref): void;
  fail(error: unknown): void;
  /** Calls `run`, once, when it is settled; at once when it is. */
  onSettled(run: (error?: unknown) => void): void;
}

/** An object that has a method of this name answers its calls by it alone: nothing else of it can be called or read. */
export const dispatch: unique symbol = Symbol.for("flotilla.dispatch") as never;

export interface Dispatcher {
  /** Takes `args`, whose stubs end when the call is settled. Never throws: `call` hears of every failure. */
  [dispatch](method: string, args: readonly unknown[], call: Call): void;
}
