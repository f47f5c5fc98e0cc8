import type { AnsweredCall } from "../base/observer.ts";

/** Rate, errors and duration of each method, in the text format of Prometheus. */
export interface CallFigures {
  add(call: AnsweredCall): void;
  text(): string;
}

/** Upper bounds. Seconds, as Prometheus has it. */
const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

interface Method {
  readonly labels: string;
  /** Calls by the first bound that they do not exceed; the last is of those that exceed all. */
  readonly counts: number[];
  seconds: number;
  readonly codes: Map<string, number>;
}

/** Our own and not a library's: it is on the way of every call, and looks nothing up but two names. */
export function makeCallFigures(service: string): CallFigures {
  const contracts = new Map<string, Map<string, Method>>();
  return {
    add({ contract, method, ms, code = "ok" }) {
      const figures = methodOf(contract, method);
      const seconds = ms / 1_000;
      const at = bounds.findIndex((bound) => seconds <= bound);
      const bucket = at < 0 ? bounds.length : at;
      figures.counts[bucket] = figures.counts[bucket]! + 1;
      figures.seconds += seconds;
      figures.codes.set(code, (figures.codes.get(code) ?? 0) + 1);
    },
    text() {
      const all = [...contracts.values()].flatMap((methods) => [...methods.values()]);
      return [
        "# HELP flotilla_calls_total Calls that were answered, by method and by what came of them",
        "# TYPE flotilla_calls_total counter",
        ...all.flatMap(({ labels, codes }) =>
          [...codes].map(([code, count]) => `flotilla_calls_total{${labels},code="${code}"} ${count}`),
        ),
        "# HELP flotilla_call_seconds How long calls took, from their arrival to their answer",
        "# TYPE flotilla_call_seconds histogram",
        ...all.flatMap(histogram),
        "",
      ].join("\n");
    },
  };

  function methodOf(contract: string, method: string): Method {
    const methods = contracts.get(contract) ?? new Map<string, Method>();
    contracts.set(contract, methods);
    let figures = methods.get(method);
    if (!figures) {
      const labels = `contract="${contract}",method="${method}",service="${service}"`;
      figures = { labels, counts: [...bounds.map(() => 0), 0], seconds: 0, codes: new Map() };
      methods.set(method, figures);
    }
    return figures;
  }
}

function histogram({ labels, counts, seconds }: Method): string[] {
  let sum = 0;
  const buckets = counts.map((count, at) => {
    sum += count;
    return `flotilla_call_seconds_bucket{${labels},le="${bounds[at] ?? "+Inf"}"} ${sum}`;
  });
  return [
    ...buckets,
    `flotilla_call_seconds_sum{${labels}} ${seconds}`,
    `flotilla_call_seconds_count{${labels}} ${sum}`,
  ];
}
