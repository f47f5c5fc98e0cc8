import type { Storage } from "./platform.ts";

/**
 * Browsers follow no asynchronous work (`AsyncContext` is a proposal): a value holds until `run` returns, and not beyond
 * its first `await`. That is where calls are made and received, which is all that the transport needs.
 */
export function makeStorage<T>(): Storage<T> {
  let current: T | undefined;
  return {
    getStore: () => current,
    run(value, run, ...args) {
      const before = current;
      current = value;
      try {
        return run(...args);
      } finally {
        current = before;
      }
    },
  };
}

const waiting: (() => void)[] = [];
const { port1, port2 } = new MessageChannel();
port2.onmessage = () => waiting.shift()?.();
// In Node an open port would keep the process alive.
(port2 as Partial<{ unref(): void }>).unref?.();

/** By a message to itself: a timer would wait for 4 ms, and in a hidden tab for a second. */
export function afterTurn(run: () => void): void {
  waiting.push(run);
  port1.postMessage(undefined);
}

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replace(/=+$/, "");
}

export function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

export function randomBase64url(bytes: number): string {
  const text = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(bytes))));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function randomHex(bytes: number): string {
  const values = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(values, (value) => value.toString(16).padStart(2, "0")).join("");
}
