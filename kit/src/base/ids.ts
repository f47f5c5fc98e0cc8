import { randomBase64url, randomHex } from "./platform.ts";

/** 144 bits: what an introduction is known by. Unguessable, 24 characters of base64url. */
export function newNonce(): string {
  return randomBase64url(18);
}

/** For a call that must have its effect once, however often it is sent: 144 bits, 24 characters of base64url. */
export function newIdempotencyKey(): string {
  return randomBase64url(18);
}

/** Names one run of one service, so that what an earlier run handed out is recognised as gone. 96 bits. */
export function newInstanceId(): string {
  return randomBase64url(12);
}

/** W3C trace context: 16 random bytes in hex. */
export function newTraceId(): string {
  return randomHex(16);
}

/** W3C trace context: 8 random bytes in hex. */
export function newSpanId(): string {
  return randomHex(8);
}

const nonce = /^[\w-]{24}$/;
const traceId = /^(?!0+$)[0-9a-f]{32}$/;
const instanceId = /^[\w-]{16,24}$/;
const serviceName = /^[a-z][a-z0-9-]{0,63}$/;

/** W3C trace context: all zeros is no trace. */
export function isTraceId(value: unknown): value is string {
  return typeof value === "string" && traceId.test(value);
}

/** The run of a service, as `newInstanceId` or its operator names it. */
export function isInstanceId(value: unknown): value is string {
  return typeof value === "string" && instanceId.test(value);
}

/** As `newNonce` makes it. */
export function isNonce(value: unknown): value is string {
  return typeof value === "string" && nonce.test(value);
}

/** What a service may be called: in keys, in introductions, in the chain of callers. */
export function isServiceName(value: unknown): value is string {
  return typeof value === "string" && serviceName.test(value);
}
