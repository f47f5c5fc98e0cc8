import { inspect } from "node:util";
import type { Contract, RpcTarget } from "@flotilla/kit";
import { refusal } from "./refusal.ts";
import { masked, type Shown, showAs, signatureOf } from "./shown.ts";

/** Of whatever interface. */
type AnyContract = Pick<Contract<RpcTarget>, "name" | "methods">;
type Method = AnyContract["methods"] extends ReadonlyMap<string, infer M> ? M : never;

/** The result of a call, which can be awaited, or called on before it is there. */
type Answer = PromiseLike<unknown> & Disposable;
/** A stub, or the promise of one. */
type Callee = Disposable & Readonly<Record<string, (...args: unknown[]) => Answer>>;

/** One capability that this session holds, or has asked for. */
interface Holding {
  readonly number: number;
  readonly contract: AnyContract;
  /** The calls by which it was obtained, without secrets: `gateway.account(…1a2b3c4d)`. */
  readonly chain: string;
  readonly parent: Holding | undefined;
  readonly sinceMs: number;
  readonly session: number;
  callee(): Callee;
  /** What is disposed when it is let go. */
  readonly owned: Disposable[];
  state: "asked for" | "held" | "let go" | "refused";
}

/** What is known of a capability. */
export interface Known {
  readonly number: number;
  readonly contract: string;
  readonly methods: readonly string[];
  readonly chain: string;
  readonly sinceMs: number;
  readonly state: string;
  /** The capability it was obtained from. */
  readonly from: number | undefined;
  /** That it ended with the session by which it was obtained. */
  readonly isLost: boolean;
  readonly session: number;
}

export interface Root {
  readonly name: string;
  readonly contract: AnyContract;
  /** The stub to call now. Borrowed. */
  main(): unknown;
  /** How many sessions were opened so far. */
  sessionNumber(): number;
}

/**
 * The capabilities of one interactive session. Each is shown to the person as a plain object with the methods of its
 * contract: to look at it, to complete it or to await it calls nothing on it, as a stub's proxy would.
 */
export interface Holdings {
  readonly root: object;
  known(capability: unknown): Known;
  isCapability(value: unknown): boolean;
  all(): Known[];
  /** Lets go of it, which may be said by its number, and of what was obtained by it. @returns how many. */
  release(capability: unknown): number;
  /** Lets go of everything but the root, which it does not own. */
  releaseAll(): void;
}

export function makeHoldings({ name, contract, main, sessionNumber }: Root): Holdings {
  const byHandle = new WeakMap<object, Holding>();
  const held = new Set<Holding>();
  let made = 0;
  const rootHolding: Holding = {
    ...{ number: 0, contract, chain: name, parent: undefined, owned: [], state: "held", sinceMs: Date.now() },
    session: 1,
    callee: () => main() as Callee,
  };

  return {
    root: handleOf(rootHolding),
    known: (capability) => know(holdingOf(capability)),
    isCapability: (value) => byHandle.has(Object(value) as object),
    all: () => [rootHolding, ...held].map(know),
    release(capability) {
      const numbered = [rootHolding, ...held].find(({ number }) => number === capability);
      const holding = numbered ?? holdingOf(capability);
      if (holding === rootHolding) throw refusal("failed_precondition", "The gateway is let go with .exit");
      return release(holding);
    },
    releaseAll() {
      for (const holding of held) release(holding);
    },
  };

  function holdingOf(capability: unknown): Holding {
    const holding = byHandle.get(Object(capability) as object);
    if (holding) return holding;
    throw refusal("invalid_argument", "This is no capability; caps() shows which are held");
  }

  function know(holding: Holding): Known {
    const { number, contract: of, chain, sinceMs, state, parent, session } = holding;
    const isLost = holding !== rootHolding && session !== sessionNumber();
    const methods = [...of.methods].map(([word, method]) => signatureOf(word, method.params));
    return { number, contract: of.name, methods, chain, sinceMs, state, from: parent?.number, isLost, session };
  }

  function handleOf(holding: Holding, extra: PropertyDescriptorMap = {}): object {
    const show = (): Shown => ({ ...know(holding), isPending: holding.state === "asked for" });
    const handle = Object.create(
      showAs(show, () => void (holding !== rootHolding && release(holding))),
      extra,
    ) as object;
    for (const [word, method] of holding.contract.methods) {
      const call = (...args: unknown[]) => callOn(holding, word, method, args);
      Object.defineProperty(handle, word, { value: Object.assign(call, signature(word, method)), enumerable: true });
    }
    byHandle.set(handle, holding);
    return handle;
  }

  function callOn(holding: Holding, word: string, method: Method, args: unknown[]): unknown {
    if (holding.state === "let go") throw refusal("permission_denied", "This capability was let go", "let_go");
    if (args.some((arg) => byHandle.has(Object(arg) as object))) {
      throw refusal("invalid_argument", `${word} takes no capability`);
    }
    const answer = holding.callee()[word]!(...args);
    if (method.returns) return asked(holding, word, { method, args, answer });
    return Object.defineProperty(data(answer), inspect.custom, { value: () => `[promise of ${word}(): await it]` });
  }

  /** Resolves with plain data, or rejects with a coded error that is shown in one line. */
  async function data(answer: Answer): Promise<unknown> {
    try {
      return await answer;
    } catch (thrown) {
      throw refusal(thrown);
    } finally {
      answer[Symbol.dispose]();
    }
  }

  /** A capability that is on its way: its methods can be called now, and travel behind the call that asked for it. */
  function asked(
    parent: Holding,
    word: string,
    { method, args, answer }: { method: Method; args: readonly unknown[]; answer: Answer },
  ): object {
    let callee = answer as unknown as Callee;
    made += 1;
    const holding: Holding = {
      ...{ number: made, contract: method.returns as AnyContract, parent, owned: [answer], state: "asked for" },
      chain: `${parent.chain}.${word}(${masked(method.params, args)})`,
      sinceMs: Date.now(),
      session: sessionNumber(),
      callee: () => callee,
    };
    held.add(holding);
    let arrival: Promise<object> | undefined;
    const arrive = (): Promise<object> => {
      arrival ??= Promise.resolve(answer).then(
        (stub) => {
          const own = stub as Callee;
          if (holding.state === "let go") own[Symbol.dispose]();
          else {
            holding.owned.push(own);
            holding.state = "held";
            callee = own;
          }
          return handleOf(holding);
        },
        (thrown: unknown) => {
          if (held.delete(holding)) answer[Symbol.dispose]();
          holding.state = "refused";
          throw refusal(thrown);
        },
      );
      return arrival;
    };
    return handleOf(holding, {
      // biome-ignore lint/suspicious/noThenProperty: it is a promise, of which calls can be made.
      then: { value: (...then: Parameters<Promise<object>["then"]>) => arrive().then(...then) },
      catch: { value: (onFailed: (reason: unknown) => unknown) => arrive().catch(onFailed) },
      finally: { value: (onSettled: () => void) => arrive().finally(onSettled) },
    });
  }

  function release(holding: Holding): number {
    if (!held.delete(holding)) return 0;
    const children = [...held].filter(({ parent }) => parent === holding);
    const count = children.reduce((sum, child) => sum + release(child), 1);
    holding.state = "let go";
    for (const own of holding.owned.splice(0)) own[Symbol.dispose]();
    return count;
  }
}

function signature(word: string, { params }: Method): object {
  const text = signatureOf(word, params);
  return { [inspect.custom]: () => text };
}
