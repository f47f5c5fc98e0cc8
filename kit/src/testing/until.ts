/** Far beyond what anything in one process needs; a test that waits this long has found something. Milliseconds. */
const untilMsMax = 5_000;

/**
 * Waits, event-loop turn by turn, until `isSo` holds: for what announces itself by no event, such as a release.
 * @throws Error with `what` when it does not come about.
 */
export async function until(isSo: () => boolean, what: string | (() => string)): Promise<void> {
  const endMs = performance.now() + untilMsMax;
  while (!isSo()) {
    if (performance.now() > endMs)
      throw new Error(`It did not come about: ${typeof what === "string" ? what : what()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** `work` as a promise of JavaScript's own: to `expect` an RpcPromise is a function, which it calls. */
export async function outcome<T>(work: PromiseLike<T>): Promise<T> {
  return await work;
}
