import type { Environment } from "../service/variables.ts";
import { StartError } from "../service/start-error.ts";
import { readStore, storeVariable } from "../service/store-setting.ts";
import { eachService, type ServiceName, serviceNames, topology } from "../topology.ts";

/** How many processes of each service one system has. */
export type InstanceCounts = Readonly<Record<ServiceName, number>>;

/** Of one service on one machine: each holds 16 connections to its database, and more do not share its processors better. */
export const instancesMax = 8;

export const oneOfEach: InstanceCounts = eachService(() => 1);

/**
 * How many of each service `text` wants: `2` of each, or `users=2,orders=3` of these and one of the others. Throws one
 * `StartError` that lists everything that is wrong, also several of a service whose store in `env` has one owner.
 */
export function readInstances(text: string | undefined, env: Environment): InstanceCounts {
  if (text === undefined) return oneOfEach;
  const problems: string[] = [];
  const counts = /=/.test(text) ? readList(text, problems) : ofAll(text, problems);
  for (const name of serviceNames) {
    if (counts[name] > 1 && topology[name].store && !readStore(name, env)) problems.push(unshared(name, counts[name]));
  }
  if (problems.length > 0) throw new StartError("bad_settings", problems.join("\n"));
  return counts;
}

function ofAll(text: string, problems: string[]): InstanceCounts {
  const count = readCount(text, problems);
  return eachService(() => count);
}

function readList(text: string, problems: string[]): InstanceCounts {
  const counts: Partial<Record<ServiceName, number>> = {};
  for (const part of text.split(",")) {
    const [key = "", count = ""] = part.trim().split(/=(.*)/);
    const name = serviceNames.find((it) => it === key);
    if (!name) problems.push(`instances: expected ${serviceNames.join(", ")}, got ${JSON.stringify(key)}`);
    else if (name in counts) problems.push(`instances: ${name} is named twice`);
    else counts[name] = readCount(count, problems);
  }
  return { ...oneOfEach, ...counts };
}

function readCount(text: string, problems: string[]): number {
  if (/^\d$/.test(text) && Number(text) >= 1 && Number(text) <= instancesMax) return Number(text);
  const expected = `a number from 1 to ${instancesMax}, or such as users=2,orders=3`;
  problems.push(`instances: expected ${expected}, got ${JSON.stringify(text)}`);
  return 1;
}

function unshared(name: ServiceName, count: number): string {
  const database = `${storeVariable(name)}=postgres://USER:PASSWORD@HOST/DATABASE?schema=${name}`;
  return (
    `instances: ${count} of the ${topology[name].title} need a database that they share, because a file of SQLite ` +
    `has one owner: ${database}`
  );
}
