import { type ServiceName, urlVariable } from "../../shop/topology.ts";
import { type Processes, type ProcessesOptions, startProcesses } from "../process-harness.ts";
import { makeProxy, type Wire } from "./proxy.ts";

/** Every stretch of network between the processes of a shop, and the one to its clients. */
export const linkNames = ["client-gateway", "gateway-users", "gateway-orders", "orders-users"] as const;
export type LinkName = (typeof linkNames)[number];

/** A shop whose processes reach each other over proxies. */
export interface Network extends AsyncDisposable {
  readonly shop: Processes;
  readonly links: Readonly<Record<LinkName, Wire>>;
  /** Where clients reach the gateway: over a proxy too. */
  readonly url: string;
}

/** @param random from 0 to 1; decides the jitter of every link. */
export async function startNetwork(random: () => number, options: ProcessesOptions = {}): Promise<Network> {
  const links = {} as Record<LinkName, Wire>;
  const stack = new AsyncDisposableStack();
  try {
    const shop = await startProcesses({
      ...options,
      async envOf(name, at) {
        const reached = linkNames.filter((link) => link.startsWith(`${name}-`));
        const variables: Record<string, string> = {};
        for (const link of reached) {
          const other = link.slice(name.length + 1) as ServiceName;
          links[link] = await lay(`http://${at.host}:${at.ports[other]}`);
          variables[urlVariable(other)] = links[link].url;
        }
        return variables;
      },
    });
    // Below the links: a service drains what is under way over them.
    const own = new AsyncDisposableStack();
    own.use(stack);
    own.use(shop);
    links["client-gateway"] = await lay(shop.urls.gateway);
    return { shop, links, url: links["client-gateway"].url, [Symbol.asyncDispose]: () => own.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }

  async function lay(target: string): Promise<Wire> {
    return stack.use(await makeProxy({ target, random }));
  }
}
