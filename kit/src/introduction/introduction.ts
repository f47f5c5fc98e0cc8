import { FlotillaError } from "../base/errors.ts";
import { isInstanceId, isNonce, isServiceName } from "../base/ids.ts";
import type { ServicePeer } from "../base/peer.ts";
import type { Param } from "../capability/contract.ts";
import type { RpcTarget } from "../rpc/stub.ts";

/**
 * Introduces its recipient to a capability that lives at its home: plain data on the wire, no address in it, and worth
 * nothing to anybody but the recipient it was deposited for, when it comes from the gifter who deposited it.
 * After Cap'n Proto's level 3 (three-party handoff) and E's introductions; the nonce is their swiss number.
 */
export interface Introduction<T> {
  /** 144 random bits that the gifter chose. */
  readonly introduction: string;
  /** The service at which the capability lives. */
  readonly home: string;
  /** The run of that service; after a restart the introduction is void. */
  readonly instance: string;
  readonly [gives]?: T;
}

declare const gives: unique symbol;

const fields = { introduction: isNonce, home: isServiceName, instance: isInstanceId } as const;
const fieldNames = Object.keys(fields) as (keyof typeof fields)[];

/**
 * An introduction as it arrived: it knows the authenticated peer of the session it came on, who is therefore the only
 * possible gifter. SECURITY: only the boundary makes these, so a plain object of the same shape is never accepted.
 */
class ReceivedIntroduction implements Introduction<RpcTarget> {
  readonly introduction: string;
  readonly home: string;
  readonly instance: string;
  readonly #gifter: ServicePeer;

  constructor(wire: Introduction<RpcTarget>, gifter: ServicePeer) {
    this.introduction = wire.introduction;
    this.home = wire.home;
    this.instance = wire.instance;
    this.#gifter = gifter;
    Object.freeze(this);
  }

  static gifterOf(value: object): ServicePeer | undefined {
    return #gifter in value ? (value as ReceivedIntroduction).#gifter : undefined;
  }
}

/** Who introduced, by the session it arrived on; undefined for anything the boundary did not make. */
export function gifterOf(introduction: Introduction<unknown>): ServicePeer | undefined {
  return ReceivedIntroduction.gifterOf(introduction);
}

/**
 * A parameter that takes an introduction to a `T`, and nothing else: a live stub, a look-alike object, a promise or a
 * function is `permission_denied` before anything of it is touched.
 */
export function introductionTo<T extends RpcTarget>(name: string): Param<Introduction<T>> {
  return {
    name,
    isOptional: false,
    receive(value, { peer }) {
      if (!isIntroduction(value)) throw refused(`${name} must be an introduction`);
      if (peer.kind !== "service") throw refused(`${name}: only an authenticated service can introduce`);
      return new ReceivedIntroduction(value, peer);
    },
  };
}

/** Never asks anything of a stub: those are functions, and only plain objects are looked into. */
function isIntroduction(value: unknown): value is Introduction<RpcTarget> {
  if (value === null || typeof value !== "object" || Object.getPrototypeOf(value) !== Object.prototype) return false;
  const entries = value as Record<string, unknown>;
  if (Object.keys(value).length !== fieldNames.length) return false;
  return fieldNames.every((name) => fields[name](entries[name]));
}

/** The one answer to every introduction that yields nothing, whatever the reason: a prober learns no more. */
export function refused(message = "The introduction is not valid"): FlotillaError {
  return new FlotillaError("permission_denied", message, { reason: "introduction_refused" });
}
