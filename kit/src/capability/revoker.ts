import type { Cancel } from "../base/clock.ts";
import { addCondition, type Condition, denied, type Revocation } from "./conditions.ts";

/** Ends the authority of whatever hangs on it. After E's caretaker and its gate. */
export interface Revoker extends Revocation {
  /**
   * Once it returned, no call begins on what hangs on it; calls in flight complete or fail. Revoking twice does nothing. A
   * standing answer that was leased counts until `recall()` of its home has resolved.
   *
   * @throws AggregateError what listeners threw, after all of them heard.
   */
  revoke(): void;
}

/** A revoker; with a `parent`, one that ends with it too, and that the parent does not remember. */
export function makeRevoker(parent?: Revocation): Revoker {
  const listeners = new Set<{ readonly hear: () => void }>();
  let isRevokedItself = false;
  let cancelParent: Cancel | undefined;

  const revoker: Revoker = {
    get isRevoked() {
      return isRevokedItself || (parent?.isRevoked ?? false);
    },
    revoke() {
      if (isRevokedItself) return;
      isRevokedItself = true;
      tell();
    },
    onRevoked(listener) {
      if (revoker.isRevoked) {
        listener();
        return () => {};
      }
      const entry = { hear: listener };
      listeners.add(entry);
      // Only while somebody listens here, so that a long-lived parent collects no children.
      cancelParent ??= parent?.onRevoked(tell);
      return () => {
        listeners.delete(entry);
        if (listeners.size === 0) leaveParent();
      };
    },
  };
  return revoker;

  function tell(): void {
    leaveParent();
    const faults: unknown[] = [];
    for (const entry of listeners) {
      listeners.delete(entry);
      try {
        entry.hear();
      } catch (fault) {
        faults.push(fault);
      }
    }
    if (faults.length > 0) throw new AggregateError(faults, "Revoked; some who were told failed");
  }

  function leaveParent(): void {
    cancelParent?.();
    cancelParent = undefined;
  }
}

/**
 * Hangs `implementation`, an object of this process, on `revoker`: once revoked, every boundary around it, whoever holds
 * it and however it got there, refuses every call with `permission_denied`, reason `revoked`, and so do introductions to
 * it. What was obtained by calling it is another object: to cut that too, `attenuate` it with the revoker.
 */
export function revocable<T extends object>(implementation: T, revoker: Revocation): T {
  addCondition(implementation, notRevoked(revoker));
  return implementation;
}

export function notRevoked(revoker: Revocation): Condition {
  return {
    revocation: revoker,
    refusal: () => (revoker.isRevoked ? denied("The capability was revoked", "revoked") : undefined),
  };
}
