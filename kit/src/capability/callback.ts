import type { RpcPromise, RpcStub, RpcTarget } from "capnweb";
import type { Clock } from "../base/clock.ts";
import { currentContext } from "../base/context.ts";
import { FlotillaError } from "../base/errors.ts";

/**
 * `stub`, whose calls fail with one error of ours, whatever its host answers. SECURITY: a peer may reject with any code
 * and reason, such as another service's `permission_denied`; passed on, it would be taken for ours by whoever matches
 * on it. The peer's words stay as the `cause`. Owns `stub`; can be called, passed on, kept with `dup()` and disposed.
 */
export function isolated<T extends RpcTarget>(stub: RpcStub<T>, clock: Clock): RpcStub<T> {
  return new Proxy(stub, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key, target);
      if (typeof key === "symbol" || key === "onRpcBroken") return member;
      if (key === "dup") return () => isolated(target.dup() as unknown as RpcStub<T>, clock);
      return isolatedResult(member as RpcPromise<RpcTarget>, clock);
    },
  });
}

/** A method of it, the result of a call, or a property of either: to be called, awaited or read further. */
function isolatedResult(result: RpcPromise<RpcTarget>, clock: Clock): RpcPromise<RpcTarget> {
  const context = currentContext();
  const blame = (cause: unknown): never => {
    if (context && clock.monotonicMs() >= context.deadlineAtMs) {
      throw new FlotillaError("deadline_exceeded", "The callback took longer than the call's deadline", { cause });
    }
    const detail = { reason: "callback_failed", retryable: false, cause };
    throw new FlotillaError("failed_precondition", "The callback failed", detail);
  };
  const answer = () => Promise.resolve(result).catch(blame);
  return new Proxy(result, {
    apply: (target, _, args: never[]) =>
      isolatedResult((target as unknown as (...args: never[]) => RpcPromise<RpcTarget>)(...args), clock),
    get(target, key) {
      if (key === "then" || key === "catch" || key === "finally") {
        const settled = answer();
        return (settled[key] as (...handlers: never[]) => unknown).bind(settled);
      }
      const member: unknown = Reflect.get(target, key, target);
      if (typeof key === "symbol" || key === "dup" || key === "onRpcBroken" || key === "map") return member;
      return isolatedResult(member as RpcPromise<RpcTarget>, clock);
    },
  });
}
