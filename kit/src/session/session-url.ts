/** Where the sessions are of the service at `url`, which is `http`, `https`, `ws` or `wss`. */
export function sessionHref(url: URL): string {
  const at = new URL(url);
  at.protocol = at.protocol.replace("http", "ws");
  at.pathname = `${at.pathname.replace(/\/+$/, "")}/rpc`;
  return at.href;
}

/** Whether `url` has parts that no address of a service has. */
export function hasMore({ search, hash }: URL): boolean {
  return search !== "" || hash !== "";
}
