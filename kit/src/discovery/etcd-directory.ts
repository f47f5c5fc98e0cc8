import { type Directory, instancesMax } from "./directory.ts";
import { askEtcd, checkPlace, type EtcdPlace, keysOf } from "./etcd.ts";
import { watchEtcd } from "./etcd-watch.ts";
import { type DirectoryOptions, makeLookup, malformed, textOf } from "./lookup.ts";

/** Should a watch have fallen silent, by whatever stands in between. Milliseconds. */
const intervalMsDefault = 30_000;

/**
 * The values of all keys that begin with a prefix, in etcd 3.4 or later, through its JSON gateway (`/v3/kv/range`,
 * `/v3/watch`). Each is an address; `registerInEtcd` writes them. A change counts at once; what was missed, at the next look.
 * Default: a look every 30 s. Without a user and password of etcd's.
 *
 * @throws TypeError for a `place` that is none.
 */
export function etcdDirectory(place: EtcdPlace, options: DirectoryOptions = {}): Directory {
  checkPlace(place);
  const title = `etcd, ${place.prefix}`;
  const question = { ...keysOf(place), limit: String(instancesMax + 1) };
  const { onProblem, clock, random } = options;
  return makeLookup(
    {
      title,
      intervalMs: intervalMsDefault,
      async look(ended) {
        const { kvs = [] } = await askEtcd(place, "/v3/kv/range", question, ended);
        if (!Array.isArray(kvs)) throw malformed(title, "its answer is no list");
        return { urls: kvs.map((entry: unknown) => addressIn(entry, title)) };
      },
      listen: (changed) => watchEtcd(place, { changed, onProblem, clock, random }),
    },
    options,
  );
}

function addressIn(entry: unknown, title: string): string {
  const value = (entry as { value?: unknown } | null)?.value;
  if (typeof value !== "string") throw malformed(title, "an entry has no value");
  return textOf(Buffer.from(value, "base64"), title);
}
