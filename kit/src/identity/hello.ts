import { type KeyObject, randomBytes, sign, verify } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { FlotillaError } from "../base/errors.ts";
import { isInstanceId, isNonce, isServiceName } from "../base/ids.ts";
import { clockSkewMsMax, helloMsMax, helloNoncesMax } from "../base/limits.ts";
import type { ServicePeer } from "../base/peer.ts";
import type { Identity } from "./identity.ts";

/**
 * Mutual authentication of two services, in the WebSocket upgrade itself: the client's hello is a header of the request,
 * the server's reply a header of the 101 answer. Both are `payload.signature` in base64url, the payload JSON, the
 * signature Ed25519 over a purpose line and the payload, so that one can never stand for the other (docs/protocol.md).
 */
export const helloHeader = "flotilla-hello";
export const replyHeader = "flotilla-reply";

/** Longer headers are refused before they are parsed. Ours have about 330 characters. */
const headerCharsMax = 1_024;

type Purpose = "hello" | "reply";

interface Statement {
  readonly from: string;
  readonly to: string;
  /** The run of `from`. */
  readonly instance: string;
  /** Chosen by the client, repeated by the server: a reply answers one hello. */
  readonly nonce: string;
  /** Wall time in milliseconds. */
  readonly atMs: number;
}

export interface Self {
  readonly identity: Identity;
  readonly instance: string;
  readonly clock: Clock;
}

export interface SentHello {
  readonly header: string;
  readonly nonce: string;
}

export function sayHello(self: Self, to: string): SentHello {
  const nonce = randomBytes(18).toString("base64url");
  return { header: state("hello", self, { to, nonce }), nonce };
}

export function replyTo(hello: AcceptedHello, self: Self): string {
  return state("reply", self, { to: hello.peer.name, nonce: hello.nonce });
}

/** Who signed, and with which of its keys. */
export interface Proven {
  readonly peer: ServicePeer;
  readonly key: KeyObject;
}

export interface AcceptedHello extends Proven {
  readonly nonce: string;
}

/** Remembers the nonces of hellos until they expire, so that a recorded hello opens nothing. */
export interface HelloGuard {
  /** @throws FlotillaError `unauthenticated`, with no word on what was wrong; `resource_exhausted` when too many came. */
  accept(header: string): AcceptedHello;
}

export function makeHelloGuard(self: Self, noncesMax = helloNoncesMax): HelloGuard {
  const seenUntilMs = new Map<string, number>();
  return {
    accept(header) {
      const { statement, key } = check("hello", header, self);
      const { from, instance, nonce, atMs } = statement;
      forgetOld();
      if (seenUntilMs.has(nonce)) throw unproven();
      if (seenUntilMs.size >= noncesMax) {
        throw new FlotillaError("resource_exhausted", "Too many new sessions", { reason: "session_limit" });
      }
      seenUntilMs.set(nonce, atMs + helloMsMax + clockSkewMsMax);
      return { peer: { kind: "service", name: from, instance }, nonce, key };
    },
  };

  /** Oldest first: a Map keeps the order of insertion, which is that of expiry but for skew. */
  function forgetOld(): void {
    for (const [nonce, untilMs] of seenUntilMs) {
      if (untilMs >= self.clock.now()) return;
      seenUntilMs.delete(nonce);
    }
  }
}

/** The server that answered is `expected`, and answered this hello. @throws FlotillaError `unauthenticated` */
export function checkReply(header: string | undefined, expected: { name: string; nonce: string }, self: Self): Proven {
  const { statement, key } = check("reply", header ?? "", self);
  const { from, instance, nonce } = statement;
  if (from !== expected.name || nonce !== expected.nonce) throw unproven();
  return { peer: { kind: "service", name: from, instance }, key };
}

function state(purpose: Purpose, self: Self, { to, nonce }: { to: string; nonce: string }): string {
  const { identity, instance, clock } = self;
  const statement: Statement = { from: identity.name, to, instance, nonce, atMs: clock.now() };
  const payload = Buffer.from(JSON.stringify(statement)).toString("base64url");
  return `${payload}.${sign(null, signed(purpose, payload), identity.privateKey).toString("base64url")}`;
}

function check(purpose: Purpose, header: string, self: Self): { statement: Statement; key: KeyObject } {
  const [payload = "", signature = ""] = header.length <= headerCharsMax ? header.split(".", 2) : [];
  const statement = parse(payload);
  if (!statement || statement.to !== self.identity.name) throw unproven();
  const ageMs = self.clock.now() - statement.atMs;
  if (ageMs > helloMsMax || ageMs < -clockSkewMsMax) throw unproven();
  const bytes = Buffer.from(signature, "base64url");
  const keys = self.identity.publicKeysOf(statement.from);
  const key = keys.find((candidate) => verify(null, signed(purpose, payload), candidate, bytes));
  if (!key) throw unproven();
  return { statement, key };
}

function signed(purpose: Purpose, payload: string): Buffer {
  return Buffer.from(`flotilla ${purpose} v1\n${payload}`);
}

function parse(payload: string): Statement | undefined {
  try {
    const value = JSON.parse(Buffer.from(payload, "base64url").toString()) as Partial<Statement>;
    const { from, to, instance, nonce, atMs } = value;
    if (!isServiceName(from) || !isServiceName(to) || !isInstanceId(instance)) return undefined;
    if (!isNonce(nonce) || !Number.isSafeInteger(atMs)) return undefined;
    return { from, to, instance, nonce, atMs: atMs as number };
  } catch {
    return undefined;
  }
}

/** One answer to every failure: a prober learns nothing. */
function unproven(): FlotillaError {
  return new FlotillaError("unauthenticated", "The service did not prove who it is", { reason: "peer_unproven" });
}
