import { type CallContext, runInContext } from "../base/context.ts";
import type { FlotillaError } from "../base/errors.ts";
import { disposeTargets } from "./brand.ts";

/** Names and indices that lead from a value to something inside it. */
export type Path = readonly (string | number)[];

/** Hears an outcome, once. */
export interface Outcome {
  /** `value` is borrowed: data, and in it stubs, which end with the result that they are part of. */
  ok(value: unknown): void;
  fail(error: unknown): void;
}

/** A call that can be answered with the outcome of another ref. */
export interface Relay {
  readonly context: CallContext;
  /** Takes `ref`. */
  relay(ref: Ref): void;
}

export type OnBroken = (error: FlotillaError) => void;

/**
 * The object behind a stub: one of this process, one of a peer's, the result of a call, or an error. Several stubs may share
 * one; each holds it once.
 */
export abstract class Ref {
  /** The ref that is passed on in its place: a wrapper that only watches calls gives the one it wraps. */
  get standsFor(): Ref {
    return this;
  }

  /** Whether it is the result of a call, there or not; else it is a capability. */
  get isResult(): boolean {
    return false;
  }

  /**
   * Calls the value at `path`. Borrows the stubs in `args`, and takes targets that are passed directly, as far as they could
   * be written. The caller owns the result. Never throws: the result fails.
   */
  abstract call(path: Path, args: readonly unknown[]): Ref;
  /** Carries out a call from elsewhere on the value at `path`. Takes `args`, which end with `call`. */
  deliver(path: Path, args: readonly unknown[], call: Relay): void {
    passOn(this, path, args, call);
  }

  /** The value at `path`, which need not be there yet. The caller owns it. */
  abstract get(path: Path): Ref;
  /** Asks for the value, for a result; a capability's is itself. */
  abstract pull(outcome: Outcome): void;
  /** One more hold. */
  abstract dup(): Ref;
  /** Ends one hold; each holder does so once. */
  abstract dispose(): void;
  /** Calls `hear`, once, when no call of it can be answered any more. @returns ends that. */
  abstract onBroken(hear: OnBroken): () => void;
}

/** Has `ref` called in the context of `call`, which came from elsewhere. */
export function passOn(ref: Ref, path: Path, args: readonly unknown[], call: Relay): void {
  call.relay(runInContext(call.context, () => ref.call(path, args)));
}

/** A ref on which every operation fails with one error. */
export class BrokenRef extends Ref {
  readonly #error: unknown;

  constructor(error: unknown) {
    super();
    this.#error = error;
  }

  get error(): unknown {
    return this.#error;
  }

  override get isResult(): boolean {
    return true;
  }

  call(_path: Path, args: readonly unknown[]): Ref {
    disposeTargets(args, new Map());
    return this;
  }

  get(): Ref {
    return this;
  }

  pull(outcome: Outcome): void {
    outcome.fail(this.error);
  }

  dup(): Ref {
    return this;
  }

  dispose(): void {}

  onBroken(hear: OnBroken): () => void {
    hear(this.error as FlotillaError);
    return () => {};
  }
}
