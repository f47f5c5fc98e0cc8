import { RpcTarget } from "../rpc/stub.ts";

/** A peer's hold on something of a home's: `end` runs when it is released, or its session is over. */
export class Handle extends RpcTarget {
  readonly #end: () => void;

  constructor(end: () => void) {
    super();
    this.#end = end;
  }

  [Symbol.dispose](): void {
    this.#end();
  }
}
