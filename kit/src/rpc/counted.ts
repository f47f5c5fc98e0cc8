import { type Outcome, Ref } from "./ref.ts";
import { stubOf } from "./stub.ts";

/** A capability that ends with its last hold. Its maker has the first. */
export abstract class CountedRef extends Ref {
  #holds = 1;

  pull(outcome: Outcome): void {
    outcome.ok(stubOf(this.dup()));
  }

  dup(): Ref {
    this.#holds += 1;
    return this;
  }

  dispose(): void {
    this.#holds -= 1;
    if (this.#holds === 0) this.released();
  }

  /** The last hold has ended. */
  protected abstract released(): void;
}
