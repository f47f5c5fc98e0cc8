import type { Clock } from "../base/clock.ts";
import { bindingContext } from "../base/context.ts";
import { FlotillaError, hasCode } from "../base/errors.ts";
import { callbackCallsMax } from "../base/limits.ts";
import { BrokenRef, type OnBroken, type Outcome, type Path, Ref } from "../rpc/ref.ts";
import { type RpcStub, type RpcTarget, rawOf, stubOf } from "../rpc/stub.ts";
import { makePlaces, type Place, type Places } from "./places.ts";

/**
 * `stub`, whose calls fail with one error of ours, whatever its host answers. SECURITY: a peer may reject with any code
 * and reason, such as another service's `permission_denied`; passed on, it would look like ours. The peer's words stay as
 * the `cause`. Owns `stub`; can be called, passed on, kept with `dup()` and disposed.
 *
 * At most `callbackCallsMax` of its calls run at once, counted with those of its dups and of a capability that it answers.
 * One more is not sent, and fails when it is awaited: `resource_exhausted`, reason `callback_busy`. A call runs until it was
 * answered or its deadline came, or until its result was disposed: a caller that doesn't await the answer has to dispose it.
 * Not covered: calls by third parties the stub was passed to, and capabilities nested in an object it returns.
 */
export function isolated<T extends RpcTarget>(stub: RpcStub<T>, clock: Clock): RpcStub<T> {
  const callback = { clock, places: makePlaces(callbackCallsMax) };
  return stubOf(new IsolatedRef(rawOf(stub)!.take(), callback)) as RpcStub<T>;
}

interface Callback {
  readonly clock: Clock;
  readonly places: Places;
}

/** A ref of a peer's in a callback: its calls are counted, and fail with one error. */
abstract class Isolated extends Ref {
  protected readonly inner: Ref;
  protected readonly callback: Callback;

  /** Owns `inner`. */
  constructor(inner: Ref, callback: Callback) {
    super();
    this.inner = inner;
    this.callback = callback;
  }

  override get standsFor(): Ref {
    return this.inner.standsFor;
  }

  call(path: Path, args: readonly unknown[]): Ref {
    return begin(this.callback, args, () => this.inner.call(path, args));
  }

  get(path: Path): Ref {
    return path.length === 0 ? this.dup() : begin(this.callback, [], () => this.inner.get(path));
  }

  dispose(): void {
    this.inner.dispose();
  }

  onBroken(hear: OnBroken): () => void {
    return this.inner.onBroken(hear);
  }
}

/** A capability of a peer's that is called back. */
class IsolatedRef extends Isolated {
  pull(outcome: Outcome): void {
    outcome.ok(stubOf(this.dup()));
  }

  dup(): Ref {
    return new IsolatedRef(this.inner.dup(), this.callback);
  }
}

/** Sends a request, unless as many run as may. */
function begin(callback: Callback, args: readonly unknown[], request: () => Ref): Ref {
  const place = callback.places.take();
  if (!place) return new BrokenRef(callback.places.refusal()).call([], args);
  const ref = request();
  if (!(ref instanceof BrokenRef)) return new IsolatedResult(ref, callback, place);
  place.settled();
  // Our own mistake is no fault of the peer's.
  return hasCode(ref.error, "invalid_argument") ? ref : new IsolatedResult(ref, callback, place);
}

/** The result of a callback's call. */
class IsolatedResult extends Isolated {
  readonly #place: Place;
  /** Makes the error of a call that begins now from the error its host gave. */
  readonly #blame: (cause: unknown) => FlotillaError;
  #stub: object | undefined;

  /** Owns `inner`. */
  constructor(inner: Ref, callback: Callback, place: Place) {
    super(inner, callback);
    this.#place = place;
    this.#blame = makeBlame(callback.clock);
  }

  override get isResult(): boolean {
    return true;
  }

  override get standsFor(): Ref {
    return this.#capability?.standsFor ?? super.standsFor;
  }

  /** The capability that it came to, once that was asked for. */
  get #capability(): Ref | undefined {
    return this.#stub && rawOf(this.#stub)!.ref;
  }

  override call(path: Path, args: readonly unknown[]): Ref {
    return this.#capability?.call(path, args) ?? super.call(path, args);
  }

  override get(path: Path): Ref {
    return this.#capability?.get(path) ?? super.get(path);
  }

  pull(outcome: Outcome): void {
    this.inner.pull({
      ok: (value) => {
        this.#place.settled();
        outcome.ok(this.#isolate(value));
      },
      fail: (cause) => {
        this.#place.settled();
        outcome.fail(this.#blame(cause));
      },
    });
  }

  #isolate(value: unknown): unknown {
    const raw = rawOf(value);
    if (!raw) return value;
    this.#stub ??= stubOf(new IsolatedRef(raw.take(), this.callback));
    return this.#stub;
  }

  dup(): Ref {
    return this.#capability?.dup() ?? new IsolatedResult(this.inner.dup(), this.callback, this.#place.share());
  }

  override dispose(): void {
    this.#place.letGo();
    if (this.#stub) rawOf(this.#stub)!.dispose();
    super.dispose();
  }
}

function makeBlame(clock: Clock): (cause: unknown) => FlotillaError {
  const context = bindingContext();
  return (cause) => {
    if (context && clock.monotonicMs() >= context.deadlineAtMs) {
      return new FlotillaError("deadline_exceeded", "The callback took longer than the call's deadline", { cause });
    }
    const detail = { reason: "callback_failed", retryable: false, cause };
    return new FlotillaError("failed_precondition", "The callback failed", detail);
  };
}
