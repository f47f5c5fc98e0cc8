import { addressOf } from "../base/service-url.ts";

/**
 * Where the instances of one service are, as something outside knows it: a name server, a file, etcd. It finds out by
 * itself and says what has changed; what it said last holds for as long as it says nothing else, so that a directory that
 * is down takes nothing with it.
 */
export interface Directory {
  /**
   * Begins to look. `tell` hears the addresses of all instances, each as `ConnectOptions.url`, when they are first known and
   * whenever they are others: never none, never more than `instancesMax`, none twice.
   * @returns ends the watch; idempotent.
   */
  watch(tell: (urls: readonly string[]) => void): () => void;
}

/** Instances of one service. Each caller has a connection to every one of them, so a service that needs more has subsets. */
export const instancesMax = 128;

/** Always the same `urls`, each as `ConnectOptions.url`. */
export function listDirectory(urls: readonly string[]): Directory {
  return {
    watch(tell) {
      tell(urls);
      return () => {};
    },
  };
}

/** `listDirectory` of what was written by hand. @throws TypeError for none, too many, or what is no address. */
export function checkedList(urls: readonly string[]): Directory {
  if (urls.length === 0) throw new TypeError("expected at least one address");
  if (urls.length > instancesMax) throw new TypeError(`expected at most ${instancesMax} addresses`);
  for (const url of urls) addressOf(url);
  return listDirectory(urls);
}
