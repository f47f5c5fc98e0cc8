import { FlotillaError } from "../base/errors.ts";
import { CountedRef } from "./counted.ts";
import { BrokenRef, type OnBroken, type Path, type Ref } from "./ref.ts";

/** The part of a session that a peer's object uses. */
export interface ImportSession {
  /** Why it is over, once it is. */
  readonly failure: FlotillaError | undefined;
  send(id: number, path: Path, args: readonly unknown[] | undefined): Ref;
  /** The last hold of `entry` has ended. */
  letGo(entry: Import): void;
}

/** An object of the peer's; 0 is its main object, which lives as long as the session. */
export class Import extends CountedRef {
  readonly id: number;
  readonly session: ImportSession;
  /** How often the peer has given it to us. */
  remoteHolds = 1;
  #error: FlotillaError | undefined;
  #onBroken: Set<OnBroken> | undefined;

  constructor(session: ImportSession, id: number) {
    super();
    this.session = session;
    this.id = id;
  }

  call(path: Path, args: readonly unknown[]): Ref {
    const error = this.error;
    return error ? new BrokenRef(error).call(path, args) : this.session.send(this.id, path, args);
  }

  get(path: Path): Ref {
    if (path.length === 0) return this.dup();
    const error = this.error;
    return error ? new BrokenRef(error) : this.session.send(this.id, path, undefined);
  }

  protected released(): void {
    if (this.id === 0) return;
    this.#onBroken = undefined;
    this.session.letGo(this);
  }

  onBroken(hear: OnBroken): () => void {
    const error = this.error;
    if (error) hear(error);
    else {
      this.#onBroken ??= new Set();
      this.#onBroken.add(hear);
    }
    return () => void this.#onBroken?.delete(hear);
  }

  /** No call of it can be answered any more; `error` is what calls fail with from now on. */
  broke(error: FlotillaError): void {
    if (this.#error) return;
    this.#error = error;
    const listeners = this.#onBroken ?? [];
    this.#onBroken = undefined;
    for (const hear of listeners) hear(error);
  }

  private get error(): FlotillaError | undefined {
    return this.#error ?? this.session.failure;
  }
}

/** The error of capabilities whose session is over. They are gone for good: another session brings other objects. */
export function capabilityLost(peer: string | undefined, cause: FlotillaError): FlotillaError {
  const message = `${peer ?? "The peer"} is gone, and with it what it had handed out: obtain it again`;
  return new FlotillaError("unavailable", message, { reason: "capability_lost", retryable: false, cause });
}
