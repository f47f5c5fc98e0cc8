import { instancesMax, type Directory } from "../session/directory.ts";
import { askEtcd, type EtcdPlace, rangeEnd, toBase64 } from "./etcd.ts";
import { type DirectoryOptions, makeLookup, malformed } from "./lookup.ts";

/** Milliseconds. */
const intervalMsDefault = 2_000;

/**
 * The values of all keys that begin with a prefix, in etcd 3.4 or later, through its JSON gateway (`/v3/kv/range`). Each is an
 * address; `registerInEtcd` writes them. Asked every 2 s: a peer that stops says so itself and one that dies is noticed by
 * its session, so only the news of one more has to wait for it. Without a user and password of etcd's.
 *
 * Its tests, and those of `registerInEtcd`, speak with a small server that knows these five methods of the gateway, after
 * etcd's own description of it; they have not been run against etcd itself.
 */
export function etcdDirectory(place: EtcdPlace, options: DirectoryOptions = {}): Directory {
  const title = `etcd, ${place.prefix}`;
  const question = {
    key: toBase64(place.prefix),
    range_end: rangeEnd(place.prefix).toString("base64"),
    limit: String(instancesMax + 1),
  };
  return makeLookup(
    {
      title,
      intervalMs: intervalMsDefault,
      async look(ended) {
        const { kvs = [] } = await askEtcd(place, "/v3/kv/range", question, ended);
        if (!Array.isArray(kvs)) throw malformed(title, "its answer is no list");
        return { urls: kvs.map((entry: unknown) => addressIn(entry, title)) };
      },
    },
    options,
  );
}

function addressIn(entry: unknown, title: string): string {
  const value = (entry as { value?: unknown } | null)?.value;
  if (typeof value !== "string") throw malformed(title, "an entry has no value");
  return Buffer.from(value, "base64").toString("utf8");
}
