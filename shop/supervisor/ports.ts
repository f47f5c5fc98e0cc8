import { createServer, type Server } from "node:net";
import { StartError } from "../service/start-error.ts";
import { type Placement, type Ports, portVariable, type ServiceName, serviceNames, topology } from "../topology.ts";

/**
 * The ports the services will listen on: 0 is replaced by a free one. Throws one `StartError` that names every port
 * that cannot be had, who wanted it, and how to choose another. The ports are free when this returns, not reserved: a
 * service that finds its port taken all the same says so and ends.
 */
export async function choosePorts({ host, ports }: Pick<Placement, "host" | "ports">): Promise<Ports> {
  const twice = serviceNames.flatMap((name, i) => sharedWith(name, serviceNames.slice(0, i), ports));
  if (twice.length > 0) throw new StartError("port", twice.join("\n"));
  const probes = await Promise.all(serviceNames.map((name) => listen(name, host, ports[name])));
  const chosen: Record<ServiceName, number> = { ...ports };
  const problems: string[] = [];
  for (const probe of probes) {
    if ("problem" in probe) problems.push(probe.problem);
    else chosen[probe.name] = probe.port;
  }
  // All probes listen until all are asked, so that no two services are given the same free port.
  await Promise.all(probes.map((probe) => "server" in probe && close(probe.server)));
  if (problems.length > 0) throw new StartError("port", problems.join("\n"));
  return chosen;
}

function sharedWith(name: ServiceName, others: readonly ServiceName[], ports: Ports): string[] {
  const other = others.find((it) => ports[it] !== 0 && ports[it] === ports[name]);
  return other ? [`${portVariable(name)}: ${ports[name]} is the port of the ${topology[other].title} already`] : [];
}

type Probe = { name: ServiceName; server: Server; port: number } | { problem: string };

function listen(name: ServiceName, host: string, port: number): Promise<Probe> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve({ problem: explain(name, host, port, error) }));
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      resolve({ name, server, port: typeof address === "object" && address ? address.port : port });
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function explain(name: ServiceName, host: string, port: number, error: NodeJS.ErrnoException): string {
  const wanted = `which the ${topology[name].title} wants to listen on`;
  const suggestion = port < 1024 ? port + 8_000 : Math.min(port + 10, 65_535);
  const other = `choose another port: ${portVariable(name)}=${suggestion} npm start`;
  switch (error.code) {
    case "EADDRINUSE":
      return `Port ${port}, ${wanted}, is taken by another program. Stop that program, or ${other}`;
    case "EACCES":
      return `Port ${port}, ${wanted}, needs rights this process does not have. Run it with them, or ${other}`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `FLOTILLA_HOST=${host} is not an address of this machine (for the ${topology[name].title}).`;
    default:
      return `Port ${port}, ${wanted}, cannot be used: ${error.message}`;
  }
}
