import { RpcPromise, RpcStub, RpcTarget } from "capnweb";

/**
 * SECURITY: a result that a call's arguments refer to is waited for when the call is delivered. Until then (the call may
 * itself be on a result that is not there yet), and when it came as a capability (`["import", n]`), capnweb 0.12 leaves
 * its failure to nobody, and Node ends the process: three messages of a stranger did. Whoever uses the argument still
 * hears of the failure; only that nobody does is no fault.
 *
 * capnweb has the remedy and forgot it here, in the methods of a class that it does not export: each gives a promise that
 * is derived from another. `orphans.test.ts` fails when an upgrade changes this.
 */
interface PromiseHook {
  ignoreUnhandledRejections(): void;
}

const derivations = ["call", "map", "get", "dup"] as const;
type Derive = (this: PromiseHook, ...args: unknown[]) => PromiseHook;

function mend(hooks: Record<(typeof derivations)[number], Derive>): void {
  for (const name of derivations) {
    const derive = hooks[name];
    hooks[name] = function (...args) {
      const derived = derive.apply(this, args);
      derived.ignoreUnhandledRejections();
      return derived;
    };
  }
}

/** The prototype of the hooks behind promises: what a stub is made of can be seen only while it is made. */
function promiseHooks(): Record<(typeof derivations)[number], Derive> {
  const base: unknown = Object.getPrototypeOf(RpcStub);
  let made: { readonly hook?: object } = {};
  Object.setPrototypeOf(RpcStub, function (this: object) {
    made = this;
  });
  try {
    void new RpcPromise<RpcTarget>(Promise.resolve(new RpcTarget()));
  } finally {
    Object.setPrototypeOf(RpcStub, base as object);
  }
  const hooks: unknown = Object.getPrototypeOf(made.hook ?? {});
  if (!isPromiseHooks(hooks)) throw new Error("This version of capnweb is not the one that was mended");
  return hooks;
}

function isPromiseHooks(hooks: unknown): hooks is Record<(typeof derivations)[number], Derive> {
  const methods = hooks as Record<string, unknown> | undefined;
  return [...derivations, "ignoreUnhandledRejections"].every((name) => typeof methods?.[name] === "function");
}

mend(promiseHooks());
