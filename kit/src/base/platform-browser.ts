import type { Storage } from "./platform.ts";

/**
 * Browsers follow no asynchronous work (`AsyncContext` is a proposal): a value holds until `run` returns, and not beyond
 * its first `await`. That is where calls are made and received, which is all that the transport needs.
 */
export function makeStorage<T>(): Storage<T> {
  let current: T | undefined;
  return {
    getStore: () => current,
    run(value, run) {
      const before = current;
      current = value;
      try {
        return run();
      } finally {
        current = before;
      }
    },
    enterWith(value) {
      current = value;
    },
  };
}

const waiting: (() => void)[] = [];
const { port1, port2 } = new MessageChannel();
port2.onmessage = () => waiting.shift()?.();

/** By a message to itself: a timer would wait for 4 ms, and in a hidden tab for a second. */
export function afterTurn(run: () => void): void {
  waiting.push(run);
  port1.postMessage(undefined);
}

export function randomBase64url(bytes: number): string {
  const text = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(bytes))));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function randomHex(bytes: number): string {
  const values = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(values, (value) => value.toString(16).padStart(2, "0")).join("");
}
