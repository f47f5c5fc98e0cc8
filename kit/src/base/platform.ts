import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes, randomFillSync } from "node:crypto";

/**
 * What Node and browsers each do in their own way. The build for browsers takes `platform-browser.ts` in its place
 * (`browser` in package.json).
 */
export interface Storage<T> {
  getStore(): T | undefined;
  run<A extends unknown[], R>(value: T, run: (...args: A) => R, ...args: A): R;
}

/** A value that follows a call wherever its asynchronous work goes. */
export function makeStorage<T>(): Storage<T> {
  return new AsyncLocalStorage<T>();
}

/** Base64 without padding, as Cap'n Web writes bytes. */
export function toBase64(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  return text.replace(/=+$/, "");
}

/** @returns undefined when the text is no base64. */
export function fromBase64(text: string): Uint8Array | undefined {
  // Buffer skips characters that are no base64. A copy, because small buffers share their memory.
  return isBase64.test(text) ? Uint8Array.from(Buffer.from(text, "base64")) : undefined;
}
const isBase64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Runs `run` when this turn of the event loop is over and what has arrived by then is read. */
export const afterTurn: (run: () => void) => void = setImmediate;

/** For secrets: the bytes are fetched for this one text. */
export function randomBase64url(bytes: number): string {
  return randomBytes(bytes).toString("base64url");
}

/** Bytes fetched at once: one system call for 250 calls, and not for each of them. */
const pool = Buffer.alloc(4_096);
let poolUsed = pool.length;

/** For what is unique and no secret: the bytes stay in memory. */
export function randomHex(bytes: number): string {
  if (poolUsed + bytes > pool.length) {
    randomFillSync(pool);
    poolUsed = 0;
  }
  poolUsed += bytes;
  return pool.toString("hex", poolUsed - bytes, poolUsed);
}
