import { createServer, type Server } from "node:net";
import { StartError } from "../service/start-error.ts";
import {
  eachService,
  type Placement,
  type Placements,
  portVariable,
  type ServiceName,
  serviceNames,
  topology,
} from "../topology.ts";
import { type InstanceCounts, instancesMax, oneOfEach } from "./instances.ts";

/** The second instance of a service listens so much above the first, and so on: 8080, 8090, 8100. */
export const portStep = 10;

/** One process that is going to listen. */
interface Seat {
  readonly name: ServiceName;
  /** From 1. */
  readonly instance: number;
  readonly port: number;
}

/**
 * Where each of `counts` processes of a service will listen, from the port `at` gives the first: 0 is replaced by free
 * ones. Throws one `StartError` that names every port that cannot be had, who wanted it, and how to choose another. The
 * ports are free when this returns, not reserved: a service that finds its port taken all the same says so and ends.
 */
export async function choosePorts(at: Placement, counts: InstanceCounts = oneOfEach): Promise<Placements> {
  const wanted = serviceNames.flatMap((name) => seatsOf(name, at.ports[name], counts[name]));
  const twice = wanted.flatMap((seat, i) => sharedWith(seat, wanted.slice(0, i)));
  if (twice.length > 0) throw new StartError("port", twice.join("\n"));
  const probes = await Promise.all(wanted.map((seat) => listen(seat, at.host)));
  // All probes listen until all are asked, so that no two services are given the same free port.
  await Promise.all(probes.map((probe) => "server" in probe && close(probe.server)));
  const problems = probes.flatMap((probe) => ("problem" in probe ? [probe.problem] : []));
  if (problems.length > 0) throw new StartError("port", problems.join("\n"));
  return placementsOf(
    at,
    probes.flatMap((probe) => ("seat" in probe ? [probe.seat] : [])),
  );
}

function seatsOf(name: ServiceName, first: number, count: number): Seat[] {
  const portOf = (index: number) => (first === 0 ? 0 : first + index * portStep);
  return Array.from({ length: count }, (_, index) => ({ name, instance: index + 1, port: portOf(index) }));
}

function placementsOf(at: Placement, seats: readonly Seat[]): Placements {
  const own = eachService((name) => seats.filter((seat) => seat.name === name));
  const firstPorts = eachService((name) => own[name][0]?.port ?? 0);
  const placementOf = ({ name, instance, port }: Seat): Placement => ({
    ...at,
    ports: { ...firstPorts, [name]: port },
    instance: own[name].length === 1 ? undefined : instance,
  });
  return eachService((name) => own[name].map(placementOf));
}

function sharedWith({ name, port }: Seat, others: readonly Seat[]): string[] {
  const other = others.find((it) => it.port !== 0 && it.port === port);
  return other ? [`${portVariable(name)}: ${port} is the port of ${titleOf(other)} already`] : [];
}

function titleOf({ name, instance }: Seat): string {
  return `${instance === 1 ? "" : `instance ${instance} of `}the ${topology[name].title}`;
}

type Probe = { readonly seat: Seat; readonly server: Server } | { readonly problem: string };

function listen(seat: Seat, host: string): Promise<Probe> {
  const { port } = seat;
  if (port > 65_535) return Promise.resolve({ problem: explain(seat, host, { message: "there is no such port" }) });
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve({ problem: explain(seat, host, error) }));
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      resolve({ seat: { ...seat, port: typeof address === "object" && address ? address.port : port }, server });
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function explain(seat: Seat, host: string, error: Pick<NodeJS.ErrnoException, "code" | "message" | "syscall">): string {
  const { port } = seat;
  const wanted = `which ${titleOf(seat)} wants to listen on`;
  if (error.code === "EADDRNOTAVAIL" || error.syscall === "getaddrinfo") {
    const looked = error.syscall === "getaddrinfo" ? ` (${error.code})` : "";
    return `FLOTILLA_HOST=${host} is not an address of this machine${looked}, for ${titleOf(seat)}.`;
  }
  const other = `choose another port: ${portVariable(seat.name)}=${suggestionFor(seat)} npm start`;
  switch (error.code) {
    case "EADDRINUSE":
      return `Port ${port}, ${wanted}, is taken by another program. Stop that program, or ${other}`;
    case "EACCES":
      return `Port ${port}, ${wanted}, needs rights this process does not have. Run it with them, or ${other}`;
    default:
      return `Port ${port}, ${wanted}, cannot be used: ${error.message}; ${other}`;
  }
}

/** For the first instance: those that follow are not to come to the same port again. */
function suggestionFor({ port, instance }: Seat): number {
  const first = port - (instance - 1) * portStep;
  if (first < 1024) return first + 8_000;
  const beyond = first + portStep * (instance === 1 ? 1 : instancesMax);
  const highest = 65_535 - portStep * (instance - 1);
  return beyond <= highest ? beyond : highest - portStep * instancesMax;
}
