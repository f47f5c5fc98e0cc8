import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { type ErrorCode, errorCodes } from "../base/errors.ts";
import type { AnsweredCall } from "../base/observer.ts";
import { makeCallFigures } from "./calls.ts";

/** Figures of one service for Prometheus: its process, and what it is asked to watch. */
export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  /** Counts something that was refused before a method ran. `reason` is one of ours, never a caller's text. */
  refused(code: ErrorCode, reason: string | undefined): void;
  /** Counts a call that was answered. */
  answered(call: AnsweredCall): void;
  /**
   * `read` is asked at each scrape; it gives one number, or one for each label. A `name` that ends in `_total` is of what
   * only ever grows.
   */
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
  const calls = makeCallFigures(service);

  return {
    contentType: registry.contentType,
    text: async () => `${await registry.metrics()}${calls.text()}`,
    answered: calls.add,
    refused(code, reason = "") {
      if (reasons.size < reasonsMax) reasons.add(reason);
      refusals.inc({ code, reason: reasons.has(reason) ? reason : "other" });
    },
    watch(name, help, read) {
      const labelled = () => {
        const value = read();
        return typeof value === "number" ? [{ labels: {}, value }] : Object.entries(value).map(ofLabel);
      };
      const options = { name: `flotilla_${name}`, help, labelNames: ["of"], registers: [registry] };
      if (name.endsWith("_total")) {
        new Counter({
          ...options,
          collect() {
            this.reset();
            for (const { labels, value } of labelled()) this.inc(labels, value);
          },
        });
      } else {
        new Gauge({
          ...options,
          collect() {
            // What is no more is not to be told for ever.
            this.reset();
            for (const { labels, value } of labelled()) this.set(labels, value);
          },
        });
      }
    },
  };
}

function ofLabel([of, value]: [string, number]) {
  return { labels: { of }, value };
}
