import type { CallContext } from "../base/context.ts";
import type { SessionEnv } from "../base/session-env.ts";
import type { Ref } from "./ref.ts";

/** A call that somebody made on an object of this process, as whoever carries it out sees it. */
export interface Call {
  readonly context: CallContext;
  /** Of the session that it came by; undefined for one of this process. */
  readonly env: SessionEnv | undefined;
  /** Whether its arguments hold nothing but what JSON has. */
  readonly isPlain: boolean;
  /** It was answered, or its time is over: what comes of it now is dropped, and disposed. */
  readonly isSettled: boolean;
  /** Answers it with what a method returned: data, a target, a stub, or the promise of one. Takes the capabilities in it. */
  returned(value: unknown): void;
  /** Answers it with data. @throws TypeError for what else is in `value`; FlotillaError when it is too large. */
  returnedData(value: unknown): void;
  /** Answers it with whatever `ref` comes to, which it takes. */
  relay(ref: Ref): void;
  fail(error: unknown): void;
  /** Calls `run`, once, when it is settled; at once when it is. */
  onSettled(run: (error?: unknown) => void): void;
}

/** An object that has a method of this name answers its calls by it alone: nothing else of it can be called or read. */
export const dispatch: unique symbol = Symbol.for("flotilla.dispatch") as never;

export interface Dispatcher {
  /** Takes `args`, whose stubs end when the call is settled. Never throws: what goes wrong is told to `call`. */
  [dispatch](method: string, args: readonly unknown[], call: Call): void;
}
