import { randomBytes, randomFillSync } from "node:crypto";

/** 144 bits: what an introduction is known by. Unguessable, 24 characters of base64url. */
export function newNonce(): string {
  return randomBytes(18).toString("base64url");
}

/** Names one run of one service, so that what an earlier run handed out is recognised as gone. 96 bits. */
export function newInstanceId(): string {
  return randomBytes(12).toString("base64url");
}

/** W3C trace context: 16 random bytes in hex. */
export function newTraceId(): string {
  return pooledHex(16);
}

/** W3C trace context: 8 random bytes in hex. */
export function newSpanId(): string {
  return pooledHex(8);
}

/** Bytes fetched at once: one system call for 250 calls, and not for each of them. */
const pool = Buffer.alloc(4_096);
let poolUsed = pool.length;

/** For what is unique and no secret: the bytes stay in memory. */
function pooledHex(bytes: number): string {
  if (poolUsed + bytes > pool.length) {
    randomFillSync(pool);
    poolUsed = 0;
  }
  poolUsed += bytes;
  return pool.toString("hex", poolUsed - bytes, poolUsed);
}

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

/** What a service may be called: in keys, in introductions, in the chain of callers. */
export function isServiceName(value: unknown): value is string {
  return typeof value === "string" && serviceName.test(value);
}
