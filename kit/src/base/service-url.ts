/** The address of the sessions at a url: `href` stands in the request, and `socketPath` is where it goes. */
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

/** Where the sessions are of the service at `url`, which is `http`, `https`, `ws` or `wss`. */
export function sessionHref(url: URL): string {
  const at = new URL(url);
  at.protocol = at.protocol.replace("http", "ws");
  at.pathname = `${at.pathname.replace(/\/+$/, "")}/rpc`;
  return at.href;
}

/** Whether `url` has parts that no address of a service has. SECURITY: a password in one would be printed in logs. */
export function hasMore({ search, hash, username, password }: URL): boolean {
  return [search, hash, username, password].some((part) => part !== "");
}

/** The path of a `unix:` URL, such as `unix:/run/shop/users.sock`; undefined for any other. */
function socketPathIn(url: URL): string | undefined {
  return url.protocol === "unix:" ? decodeURIComponent(url.pathname) : undefined;
}
