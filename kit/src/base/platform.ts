import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes, randomFillSync } from "node:crypto";

/**
 * What Node and browsers each do in their own way. The build for browsers takes `platform-browser.ts` in its place
 * (`browser` in package.json).
 */
export interface Storage<T> {
  getStore(): T | undefined;
  run<R>(value: T, run: () => R): R;
  enterWith(value: T): void;
}

/** A value that follows a call wherever its asynchronous work goes. */
export function makeStorage<T>(): Storage<T> {
  return new AsyncLocalStorage<T>();
}

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
