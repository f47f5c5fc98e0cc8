import type { Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { keyCheckMs } from "../base/limits.ts";
import type { Session } from "../session/session.ts";
import type { Proven } from "./hello.ts";
import type { Identity } from "./identity.ts";

export interface Watched {
  readonly identity: Identity;
  readonly proven: Proven;
  readonly clock: Clock;
}

/**
 * Ends `session` within `keyCheckMs` of the revocation of the key by which its peer was proven. A trust file that cannot be
 * read revokes nobody, so that a slip of the pen does not part all services at once; it proves nobody either.
 */
export function endWhenRevoked(session: Session, { identity, proven, clock }: Watched): void {
  let cancel = clock.after(keyCheckMs, check);
  void session.closed.then(() => cancel());

  function check(): void {
    if (isTrusted()) {
      cancel = clock.after(keyCheckMs, check);
      return;
    }
    const message = `The key of ${proven.peer.name} was revoked`;
    session.close(new FlotillaError("unauthenticated", message, { reason: "key_revoked" }));
  }

  function isTrusted(): boolean {
    try {
      return identity.publicKeysOf(proven.peer.name).some((key) => key.equals(proven.key));
    } catch {
      return true;
    }
  }
}
