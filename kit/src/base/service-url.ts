import { hasMore, sessionHref } from "./session-url.ts";
import { socketPathIn } from "../server/unix-socket.ts";

/** Of the sessions at a url; `href` is then what stands in the request, and `socketPath` where it goes. */
export interface Address {
  readonly href: string;
  readonly socketPath?: string | undefined;
}

/** Where the sessions of the service at `url` are. @throws TypeError for what is no address of a service. */
export function addressOf(url: string): Address {
  const parsed = URL.parse(url);
  if (!parsed || !/^(https?|wss?|unix):$/.test(parsed.protocol) || hasMore(parsed)) {
    throw new TypeError("url is no address such as http://host:port (or https, ws, wss), nor unix:/path");
  }
  const socketPath = socketPathIn(parsed);
  if (socketPath !== undefined && !socketPath.startsWith("/"))
    throw new TypeError("a unix: url takes an absolute path");
  if (socketPath !== undefined) return { href: "ws://localhost/rpc", socketPath };
  return { href: sessionHref(parsed) };
}
