import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { type ErrorCode, errorCodes } from "../base/errors.ts";

/** Figures of one service for Prometheus: its process, and what it is asked to watch. */
export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  /** Counts something that was refused before a method ran. `reason` is one of ours, never a caller's text. */
  refused(code: ErrorCode, reason: string | undefined): void;
  /** `read` is asked at each scrape; it gives one number, or one for each label. */
  watch(name: string, help: string, read: () => number | Readonly<Record<string, number>>): void;
}

/** More reasons than the code has; beyond it they count as `other`, so that no bug of ours makes endless labels. */
const reasonsMax = 50;

/** Figures of `service`, which labels all of them; those of the process are there from the start. */
export function makeMetrics(service: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry, prefix: "flotilla_" });
  const refusals = new Counter({
    name: "flotilla_refused_total",
    help: "Requests, sessions and messages that were refused before any method ran",
    labelNames: ["code", "reason"],
    registers: [registry],
  });
  for (const code of Object.keys(errorCodes)) refusals.inc({ code, reason: "" }, 0);
  const reasons = new Set<string>();

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    refused(code, reason = "") {
      if (reasons.size < reasonsMax) reasons.add(reason);
      refusals.inc({ code, reason: reasons.has(reason) ? reason : "other" });
    },
    watch(name, help, read) {
      new Gauge({
        name: `flotilla_${name}`,
        help,
        labelNames: ["of"],
        registers: [registry],
        collect() {
          const value = read();
          if (typeof value === "number") this.set(value);
          else for (const [of, number] of Object.entries(value)) this.set({ of }, number);
        },
      });
    },
  };
}
