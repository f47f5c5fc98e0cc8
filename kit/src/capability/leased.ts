import type { CallContext } from "../base/context.ts";
import type { Call } from "../rpc/call.ts";
import type { Ref } from "../rpc/ref.ts";
import type { SessionEnv } from "../rpc/session-env.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import type { Contract, Method } from "./contract.ts";
import type { LeasePort } from "./env.ts";

/** A method of every loan whose recipient takes leases: asks a standing method, and for how long its answer counts. */
export const askLeased = "askLeased";

/** The answer of `askLeased`. */
export interface LeasedAnswer {
  readonly answer: unknown;
  /** Milliseconds from when it was asked; 0 for not at all. */
  readonly forMs: number;
}

/** A capability that is asked for a lease. */
interface Lessor {
  readonly contract: Contract<RpcTarget>;
  readonly implementation: object;
  readonly leases: LeasePort;
}

/** A call of a method that there is. */
export interface Asked {
  readonly name: string;
  readonly method: Method;
  readonly args: readonly unknown[];
  readonly reply: Call;
}

/** The call of a method that answers data, standing or not, that `askLeased(name, args)` stands for; undefined if it is none. */
export function leasedCall(lessor: Lessor, [name, args]: readonly unknown[], reply: Call): Asked | undefined {
  const method = typeof name === "string" ? lessor.contract.methods.get(name) : undefined;
  if (!method || method.builtIn || method.returns || !Array.isArray(args)) return undefined;
  return { name: name as string, method, args, reply: new LeasedReply(reply, lessor, method) };
}

/** Answers `reply` with what a method answers, and how long that counts. */
class LeasedReply implements Call {
  readonly #reply: Call;
  readonly #lessor: Lessor;
  readonly #isPromised: boolean;

  /** The promise is counted from now, before anything is asked: whoever changes the answer meanwhile knows of it. */
  constructor(reply: Call, lessor: Lessor, { isStanding }: Method) {
    this.#reply = reply;
    this.#lessor = lessor;
    this.#isPromised = isStanding && lessor.leases.begin();
  }

  get context(): CallContext {
    return this.#reply.context;
  }

  get env(): SessionEnv | undefined {
    return this.#reply.env;
  }

  get isPlain(): boolean {
    return this.#reply.isPlain;
  }

  get streams(): Call["streams"] {
    return this.#reply.streams;
  }

  get isSettled(): boolean {
    return this.#reply.isSettled;
  }

  returned(value: unknown): void {
    this.#reply.returned(value);
  }

  returnedData(answer: unknown): void {
    const { leases, implementation } = this.#lessor;
    const forMs = this.#isPromised ? leases.lifetimeMs(implementation) : 0;
    this.#reply.returnedData({ answer, forMs } satisfies LeasedAnswer);
  }

  relay(ref: Ref): void {
    this.#reply.relay(ref);
  }

  fail(error: unknown): void {
    this.#reply.fail(error);
  }

  onSettled(run: (error?: unknown) => void): void {
    this.#reply.onSettled(run);
  }
}
