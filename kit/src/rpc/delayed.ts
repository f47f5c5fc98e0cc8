import type { Alarm, Alarms } from "../base/alarms.ts";
import { bindContext, type CallContext, deadlineExceeded } from "../base/context.ts";
import type { Path, Ref } from "./ref.ts";
import { attempt, ResultRef } from "./result.ts";
import type { Raw } from "./stub.ts";
import { holdArguments } from "./values.ts";

/** A call that is sent once something in its arguments has come; at the latest until its deadline. */
export class DelayedCall extends ResultRef implements Alarm {
  readonly atMs: number;
  before: Alarm | undefined = undefined;
  after: Alarm | undefined = undefined;
  readonly #alarms: Alarms;
  readonly #context: CallContext;

  constructor(alarms: Alarms, context: CallContext) {
    super();
    this.#alarms = alarms;
    this.#context = context;
    this.atMs = context.deadlineAtMs;
  }

  ring(): void {
    this.fail(deadlineExceeded(this.#context.traceId));
  }

  protected override settled(): void {
    this.#alarms.cancel(this);
    super.settled();
  }

  /** Borrows `on` and `args`. @returns this, or an error about `args`. */
  begin(awaited: ResultRef, on: Ref, path: Path, args: readonly unknown[]): Ref {
    const stubs: Raw[] = [];
    return attempt(() => {
      const held = holdArguments(args, stubs);
      const target = on.dup();
      // A hold of its own, because the owner may let go. Made last, so that it is settled after the arguments that are held.
      const there = awaited.dup() as ResultRef;
      this.#alarms.set(this);
      there.later(
        bindContext(() => {
          if (!this.isSettled) this.relay(target.call(path, held));
          for (const ref of [target, there]) ref.dispose();
          for (const raw of stubs) raw.dispose();
        }),
      );
      return this;
    });
  }
}
