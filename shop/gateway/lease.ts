import { type Clock, hasCode, reasonOf, withOwnDeadline } from "@flotilla/kit";
import type { AccountTarget } from "./account.ts";

/**
 * An account that one client holds, with the administrations obtained through it: they end together, with their login.
 * Then nothing is kept of them here or at the User Service, even if the client never releases them.
 */
export class Lease implements Disposable {
  readonly account: AccountTarget;
  readonly token: string;
  readonly #clock: Clock;
  readonly #administrations = new Set<() => void>();
  /** Disposes the account. */
  #own: Disposable | undefined;
  #isReleased = false;
  #refusal: unknown;
  #reviewing: Promise<void> | undefined;

  constructor(account: AccountTarget, token: string, clock: Clock) {
    this.account = account;
    this.token = token;
    this.#clock = clock;
  }

  /** Undefined once the login has ended: its holder no longer counts as the user. */
  get userId(): string | undefined {
    return this.#refusal === undefined ? this.account.userId : undefined;
  }

  /** Throws the User Service's refusal once the login has ended. */
  assertHolds(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  /** Owns `own`, which disposes the account. */
  begin(own: Disposable): void {
    this.#own = own;
    if (this.#refusal !== undefined) this.#end();
  }

  /** Owns `administration`, and disposes it when it is released or the login has ended. */
  hold(administration: Disposable): Disposable {
    const release = () => {
      if (!this.#administrations.delete(release)) return;
      administration[Symbol.dispose]();
      if (this.#isReleased) this[Symbol.dispose]();
    };
    this.#administrations.add(release);
    if (this.#refusal !== undefined) release();
    return { [Symbol.dispose]: release };
  }

  /** The client released the account. It is kept until the last administration goes: only it shows whether the login stands. */
  [Symbol.dispose](): void {
    this.#isReleased = true;
    if (this.#administrations.size === 0) this.#end();
  }

  /** Asks the User Service whether the login stands, once for all callers meanwhile. */
  async review(): Promise<void> {
    if (this.#refusal !== undefined) return;
    this.#reviewing ??= withOwnDeadline(() => this.account.profile(), this.#clock)
      .then(
        () => {},
        (error: unknown) => {
          if (!isRefusal(error)) return;
          this.#refusal = error;
          this.#end();
        },
      )
      .then(() => {
        this.#reviewing = undefined;
      });
    await this.#reviewing;
  }

  #end(): void {
    for (const release of [...this.#administrations]) release();
    this.#own?.[Symbol.dispose]();
    this.#own = undefined;
  }
}

/** The login has ended: the token, or a capability obtained by it, is no longer accepted. */
export function isRefusal(error: unknown): boolean {
  const reason = reasonOf(error);
  return reason === "revoked" || (hasCode(error, "unauthenticated") && reason !== "wrong_password");
}
