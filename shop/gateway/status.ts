import type { Busyness, InstanceReport, Instances, RpcTarget, WaitsFor } from "@flotilla/kit";
import type { InstanceStatus, SystemStatus } from "../contracts/status.ts";
import type { ServiceHost } from "../service/run-service.ts";
import type { Bulkheads } from "./bulkheads.ts";
import { type Destination, destinationNames } from "./destinations.ts";

export interface StatusOf {
  readonly own: Pick<ServiceHost, "build" | "home">;
  readonly busyness: Busyness;
  readonly bulkheads: Bulkheads;
  readonly destinations: Readonly<Record<Destination, Pick<Instances<RpcTarget>, "report" | "stats">>>;
}

export function statusOf({ own, busyness, bulkheads, destinations }: StatusOf): SystemStatus {
  const { version, commit, uptimeMs } = own.build;
  return {
    version,
    commit,
    instance: own.home.instance,
    uptimeMs: Math.round(uptimeMs()),
    load: { ...busyness, loopLagMs: Math.round(busyness.loopLagMs) },
    destinations: destinationNames.map((name) => ({
      name,
      ...bulkheads.report(name),
      repeated: destinations[name].stats().repeated,
      instances: destinations[name].report().map(toStatus),
    })),
  };
}

function toStatus({ url, instance, silentMs, ...report }: InstanceReport): InstanceStatus {
  const { isOpen, isLeaving, underWay, failures, breakers } = report;
  const run = instance === undefined ? {} : { instance };
  return { url, ...run, isOpen, isLeaving, underWay, silentMs: Math.round(silentMs), failures, breakers };
}

/** Far above what any call takes, and below the heartbeat that ends a silent session. Milliseconds. */
const silentMsMin = 1_000;

/** The services of which no instance answers, with the silence of the one that spoke last. */
export function waitsFor(destinations: StatusOf["destinations"]): WaitsFor[] {
  return destinationNames.flatMap((name): WaitsFor[] => {
    const all = destinations[name].report().filter(({ isLeaving }) => !isLeaving);
    if (all.some(({ isOpen, silentMs }) => isOpen && silentMs < silentMsMin)) return [];
    return [all.length === 0 ? { name } : { name, forMs: Math.round(Math.min(...all.map((it) => it.silentMs))) }];
  });
}
