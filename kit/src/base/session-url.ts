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
