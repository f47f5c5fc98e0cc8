import { bindContext } from "../base/context.ts";
import { type FlotillaError, toFlotillaError } from "../base/errors.ts";
import type { Call } from "./call.ts";
import { BrokenRef, type OnBroken, type Outcome, type Path, Ref } from "./ref.ts";
import { type Raw, rawOf, stubOf } from "./stub.ts";
import { disposeValue, dupValue, follow, holdArguments, makeDisposable, noSuchMember, unpassable } from "./values.ts";

/** `relaying`: it takes the outcome of `ref`, which may not be there yet. */
type State = "pending" | "relaying" | "ok" | "failed";

/** The result of a call, which can be called on before it is there. It has one holder. */
export class ResultRef extends Ref {
  protected state: State = "pending";
  /** The capability it came to, or the other result whose outcome it takes. */
  protected ref: Ref | undefined;
  /** Data, and stubs in it that are this result's; or an error. */
  protected value: unknown;
  #isReleased = false;
  #isLent = false;
  #waiting: (() => void)[] | undefined;

  override get isResult(): boolean {
    return true;
  }

  get isSettled(): boolean {
    return this.state !== "pending";
  }

  /** The error, if it failed. */
  get error(): unknown {
    return this.state === "failed" ? this.value : undefined;
  }

  /** The value, if it is no capability: data with stubs in it, all borrowed. */
  get data(): unknown {
    return this.state === "ok" ? this.value : undefined;
  }

  /** The capability, or the result that is not there yet, that it has become. */
  override get standsFor(): Ref {
    const next = this.ref ?? (this.state === "ok" ? rawOf(this.value)?.ref : undefined);
    return next ? next.standsFor : this;
  }

  /** Takes `value`: data, and stubs in it. */
  ok(value: unknown): void {
    if (this.state !== "pending") {
      disposeValue(value);
      return;
    }
    this.state = "ok";
    this.value = value;
    this.settled();
  }

  /** The same for data that somebody else owns: whoever wants to keep it copies it. */
  lend(value: unknown): void {
    this.#isLent = true;
    this.ok(value);
  }

  fail(error: unknown): void {
    if (this.state !== "pending") return;
    this.state = "failed";
    // `throw undefined` is possible.
    this.value = error ?? toFlotillaError(error);
    this.settled();
  }

  /** Takes `ref`, a capability. */
  okRef(ref: Ref): void {
    this.#come("ok", ref);
  }

  /** Takes `ref`. If that is a result, calls on this one go on to it at once. */
  relay(ref: Ref): void {
    this.#come(ref.isResult ? "relaying" : "ok", ref);
  }

  #come(state: State, ref: Ref): void {
    if (this.state !== "pending") {
      ref.dispose();
      return;
    }
    this.state = state;
    this.ref = ref;
    this.settled();
  }

  /**
   * Runs the waiting callbacks in their order; a result that was released is disposed after them.
   *
   * SECURITY: a peer can have each of its calls wait for the one before, as many as it may have open. Settled one within the
   * other they would overflow the stack, and so end the process.
   */
  protected settled(): void {
    if (this.#waiting === undefined && !this.#isReleased) return;
    if (nested >= nestedMax) {
      postponed.push(() => this.#tell());
      return;
    }
    nested += 1;
    try {
      this.#tell();
      // The outermost takes up what was left, each from a stack as short as its own.
      while (nested === 1 && postponed.length > 0) postponed.shift()!();
    } finally {
      nested -= 1;
    }
  }

  #tell(): void {
    for (const run of this.#waiting ?? []) run();
    this.#waiting = undefined;
    if (this.#isReleased) this.#disposeAll();
  }

  /** Runs `run` when it is settled, at once when it is. */
  protected later(run: () => void): void {
    if (this.state !== "pending") run();
    else if (this.#waiting) this.#waiting.push(run);
    else this.#waiting = [run];
  }

  call(path: Path, args: readonly unknown[]): Ref {
    if (this.state === "failed") return new BrokenRef(this.value).call(path, args);
    if (this.ref) return this.ref.call(path, args);
    if (this.state !== "ok") return this.#callLater(path, args);
    return attempt(() => {
      const found = follow(this.value, path);
      if (!found.raw) throw noSuchMember(path);
      return found.raw.ref.call([...found.raw.path, ...found.rest], args);
    });
  }

  #callLater(path: Path, args: readonly unknown[]): Ref {
    const stubs: Raw[] = [];
    try {
      const held = holdArguments(args, stubs);
      return this.#madeLater(() => {
        const made = this.call(path, held);
        for (const raw of stubs) raw.dispose();
        return made;
      });
    } catch (error) {
      for (const raw of stubs) raw.dispose();
      return new BrokenRef(unpassable(error)).call(path, args);
    }
  }

  override deliver(path: Path, args: readonly unknown[], call: Call): void {
    this.later(() => {
      if (this.state === "failed") call.fail(this.value);
      else if (this.ref) this.ref.deliver(path, args, call);
      else this.#deliverInside(path, args, call);
    });
  }

  #deliverInside(path: Path, args: readonly unknown[], call: Call): void {
    try {
      const found = follow(this.value, path);
      if (!found.raw) throw noSuchMember(path);
      found.raw.ref.deliver([...found.raw.path, ...found.rest], args, call);
    } catch (error) {
      call.fail(error);
    }
  }

  get(path: Path): Ref {
    if (path.length === 0) return this.dup();
    if (this.state === "failed") return new BrokenRef(this.value);
    if (this.ref) return this.ref.get(path);
    if (this.state !== "ok") return this.#madeLater(() => this.get(path));
    return attempt(() => {
      const found = follow(this.value, path);
      if (found.raw)
        return found.rest.length > 0 ? found.raw.ref.get([...found.raw.path, ...found.rest]) : found.raw.hold();
      return resultOf(dupValue(found.value));
    });
  }

  #madeLater(make: () => Ref): Ref {
    const made = new ResultRef();
    this.later(bindContext(() => made.relay(make())));
    return made;
  }

  pull(outcome: Outcome): void {
    if (this.state === "failed") outcome.fail(this.value);
    else if (this.state === "relaying") this.ref!.pull(outcome);
    else if (this.state === "pending") this.later(() => this.pull(outcome));
    else {
      if (this.ref) {
        // From now on the stub is the hold, and this result shares it with those it gives the stub to.
        this.value = stubOf(this.ref);
        this.ref = undefined;
      }
      if (!this.#isLent) makeDisposable(this.value);
      outcome.ok(this.value);
    }
  }

  dup(): Ref {
    if (this.state === "failed") return new BrokenRef(this.value);
    if (this.ref) return this.ref.dup();
    if (this.state !== "ok") return this.#madeLater(() => this.dup());
    const raw = rawOf(this.value);
    return attempt(() => (raw ? raw.hold() : resultOf(dupValue(this.value))));
  }

  dispose(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    if (this.state !== "pending" && this.#waiting === undefined) this.#disposeAll();
  }

  #disposeAll(): void {
    if (this.state === "failed") return;
    const { ref, value } = this;
    this.state = "failed";
    this.ref = undefined;
    this.value = released;
    if (ref) ref.dispose();
    else if (!this.#isLent) disposeValue(value);
  }

  onBroken(hear: OnBroken): () => void {
    let isEnded = false;
    let end: (() => void) | undefined;
    this.later(() => {
      if (isEnded) return;
      // A result that its own holder disposed is not broken.
      if (this.state === "failed" && this.value !== disposedEarly) hear(this.value as FlotillaError);
      else end = (this.ref ?? rawOf(this.value)?.ref)?.onBroken(hear);
    });
    return () => {
      isEnded = true;
      end?.();
    };
  }
}

/** So many results settle each other one within the other; those beyond wait until the stack is free again. */
const nestedMax = 50;
let nested = 0;
const postponed: (() => void)[] = [];

/** The error of an awaited result that another part of this program disposed. */
export const disposedEarly: Error = new Error("The result was disposed before it came");

/** A mistake of this program's. */
const released = new Error("The result was disposed before");

function attempt(make: () => Ref): Ref {
  try {
    return make();
  } catch (error) {
    return new BrokenRef(error);
  }
}

export function resultOf(value: unknown): ResultRef {
  const result = new ResultRef();
  result.ok(value);
  return result;
}
