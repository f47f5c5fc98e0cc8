// A node of Moleculer's own TCP cluster, which finds the others by a list of addresses.
import { ServiceBroker } from "moleculer";

/**
 * `peers` are the addresses of other nodes, with commas between. In production settings: nothing logged, traced or
 * measured, actions checked by the default validator.
 */
export function makeBroker(nodeID: string, peers: string): ServiceBroker {
  return new ServiceBroker({
    nodeID,
    logger: false,
    metrics: false,
    tracing: false,
    internalServices: false,
    transporter: {
      type: "TCP",
      options: { udpDiscovery: false, useHostname: false, urls: peers },
    },
  });
}

/** `HOST:PORT/NODE`, as the list of addresses wants it. */
export function addressOfNode(broker: ServiceBroker): string {
  const transporter = broker.transit?.tx as { opts: { port: number } } | undefined;
  return `127.0.0.1:${transporter?.opts.port}/${broker.nodeID}`;
}
