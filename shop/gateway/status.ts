import type { Busyness, InstanceReport, Instances } from "@flotilla/kit";
import type { RpcTarget } from "capnweb";
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

function toStatus({ url, instance, isOpen, isLeaving, underWay, failures, breakers }: InstanceReport): InstanceStatus {
  const run = instance === undefined ? {} : { instance };
  return { url, ...run, isOpen, isLeaving, underWay, failures, breakers };
}
