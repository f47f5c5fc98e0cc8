import { Type } from "typebox";
import { type Clock, systemClock } from "../base/clock.ts";
import type { Peer } from "../base/peer.ts";
import { expose } from "../capability/boundary.ts";
import { arg, callback, contract } from "../capability/contract.ts";
import type { RpcStub, RpcTarget } from "../rpc/stub.ts";

/** A small service for tests of sessions: data, capabilities, calls that hang, and calls back. */
export interface Desk extends RpcTarget {
  add(a: number, b: number): number;
  take(number: number): Ticket;
  /** Answered when the test says so. */
  hang(): string;
  /** Calls the visitor, and waits for its answer. */
  ask(visitor: RpcStub<Visitor>): string;
  /** Calls the visitor, and does not wait. */
  tell(visitor: RpcStub<Visitor>): string;
}

/** A capability of a desk's. */
export interface Ticket extends RpcTarget {
  getNumber(): number;
}

/** A caller's own capability, which a desk calls back. */
export interface Visitor extends RpcTarget {
  answer(): string;
}

const Count = Type.Integer({ minimum: 0 });
const TicketContract = contract<Ticket>("Ticket", { getNumber: { params: [] } });
const DeskContract = contract<Desk>("Desk", {
  add: { params: [arg("a", Type.Number()), arg("b", Type.Number())] },
  take: { params: [arg("number", Count)], returns: TicketContract },
  hang: { params: [] },
  ask: { params: [callback<Visitor>("visitor")] },
  tell: { params: [callback<Visitor>("visitor")] },
});

/** A desk, and what a test sees and decides of it. */
export interface TestDesk {
  /** A desk of its own for each session; for `ServeOptions.main`. */
  mainFor(peer: Peer): RpcTarget;
  /** Methods that ran, in order. */
  readonly calls: string[];
  /** Desks and tickets that were handed out and not released. */
  live(): number;
  /** Resolves when the next call hangs. */
  hanging(): Promise<void>;
  /** Answers the calls that hang. */
  answerAll(): void;
}

/** A desk behind its contract, with calls that end on `clock`. */
export function makeDesk(clock: Clock = systemClock): TestDesk {
  const calls: string[] = [];
  let live = 0;
  const hung = new Set<() => void>();
  const watchers = new Set<() => void>();

  class Counted {
    constructor() {
      live += 1;
    }
    [Symbol.dispose]() {
      live -= 1;
    }
  }

  class TicketTarget extends Counted {
    readonly #number: number;
    constructor(number: number) {
      super();
      this.#number = number;
    }
    getNumber() {
      calls.push("getNumber");
      return this.#number;
    }
  }

  class DeskTarget extends Counted {
    add(a: number, b: number) {
      calls.push("add");
      return a + b;
    }
    take(number: number) {
      calls.push("take");
      return new TicketTarget(number);
    }
    hang() {
      calls.push("hang");
      const { promise, resolve } = Promise.withResolvers<string>();
      hung.add(() => resolve("answered"));
      for (const watcher of watchers) watcher();
      watchers.clear();
      return promise;
    }
    async ask(visitor: RpcStub<Visitor>) {
      calls.push("ask");
      return await visitor.answer();
    }
    tell(visitor: RpcStub<Visitor>) {
      calls.push("tell");
      visitor.answer().catch(() => {});
      return "told";
    }
  }

  return {
    mainFor: (peer) => expose(DeskContract, new DeskTarget(), { peer, clock }),
    calls,
    live: () => live,
    hanging: () => new Promise((resolve) => watchers.add(resolve)),
    answerAll() {
      for (const answer of hung) answer();
      hung.clear();
    },
  };
}
