import { isAbsolute } from "node:path";
import { checkedList, type Directory } from "./directory.ts";
import { dnsDirectory, srvDirectory } from "./dns-directory.ts";
import type { EtcdPlace } from "./etcd.ts";
import { etcdDirectory } from "./etcd-directory.ts";
import { fileDirectory } from "./file-directory.ts";
import type { DirectoryOptions } from "./lookup.ts";

/**
 * The directory that a setting names:
 *
 * | `text` | instances |
 * |---|---|
 * | `http://a:1,http://b:1` | these |
 * | `dns://host:port` | one at each address of the host |
 * | `dns+srv://name`, `dns+srvs://name` | those of the SRV record; reached over TLS with the second |
 * | `file:/path` | those that the file lists |
 * | `etcd+http://host:port/prefix`, `etcd+https:` | those that are written down under the prefix |
 *
 * `dns…?server=127.0.0.1:53` asks another name server than the system's.
 *
 * @throws TypeError that says what is wrong with `text`.
 */
export function openDirectory(text: string, options: DirectoryOptions = {}): Directory {
  const scheme = /^([a-z+]+):/i.exec(text)?.[1]?.toLowerCase();
  switch (scheme) {
    case "dns":
    case "dns+srv":
    case "dns+srvs":
      return openDns(text, scheme, options);
    case "file":
      return fileDirectory(pathOf(text), options);
    case "etcd+http":
    case "etcd+https":
      return etcdDirectory(etcdPlaceOf(text), options);
    default:
      return checkedList(text.split(",").map((url) => url.trim()));
  }
}

/** Reads an `etcd+http:` text. @throws TypeError for what is none. */
export function etcdPlaceOf(text: string): EtcdPlace {
  const url = URL.parse(text.replace(/^etcd\+/i, ""));
  const prefix = url ? decodeURIComponent(url.pathname.slice(1)) : "";
  if (!/^etcd\+https?:/i.test(text) || !url || url.search !== "" || url.hash !== "" || url.username !== "") {
    throw new TypeError("expected etcd+http://host:port/prefix");
  }
  if (prefix === "") throw new TypeError("expected a prefix of keys: etcd+http://host:port/prefix");
  return { url: url.origin, prefix: prefix.endsWith("/") ? prefix : `${prefix}/` };
}

function openDns(text: string, scheme: string, options: DirectoryOptions): Directory {
  // By the rules of http: those of an unknown scheme leave a host as it was written.
  const url = URL.parse(text.replace(/^[a-z+]+:/i, "http:"));
  const server = url?.searchParams.get("server") ?? undefined;
  const isBare = url !== null && url.pathname === "/" && url.hash === "" && url.username === "";
  if (!isBare) throw new TypeError(`expected ${scheme}://name${scheme === "dns" ? ":port" : ""}`);
  const dns = { ...options, servers: server === undefined ? undefined : [server] };
  if (scheme !== "dns") {
    if (url.port !== "") throw new TypeError("an SRV record says the port itself");
    return srvDirectory({ name: url.hostname, scheme: scheme === "dns+srvs" ? "https" : "http" }, dns);
  }
  // Of http the default.
  const port = Number(url.port || "80");
  return dnsDirectory({ host: url.hostname, port }, dns);
}

function pathOf(text: string): string {
  const url = URL.parse(text);
  const path =
    /^file:\//i.test(text) && url && url.host === "" && url.search === "" && url.hash === ""
      ? decodeURIComponent(url.pathname)
      : "";
  if (!isAbsolute(path) || path.endsWith("/")) throw new TypeError("expected file:/ and the absolute path of a file");
  return path;
}
