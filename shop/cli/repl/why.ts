import { inspect } from "node:util";
import { unpainted } from "../paint.ts";
import { fields, table } from "../text.ts";
import { timeText } from "../times.ts";
import type { Known } from "./holdings.ts";

/** Where a capability is hosted and how it was obtained. Shown as lines, with the same as fields. */
export function whyOf(known: Known, gatewayUrl: string): object {
  const { number, contract, methods, chain, sinceMs, from, session } = known;
  const why = {
    capability: `${contract} #${number}`,
    hostedAt: `the gateway, ${gatewayUrl}`,
    session: `session ${session}`,
    obtainedBy: chain,
    from: from ? `#${from}` : undefined,
    since: timeText(sinceMs),
    state: stateOf(known),
    methods: methods.join(", "),
  };
  const text = () =>
    String(
      fields(
        {
          ...{
            capability: why.capability,
            "hosted at": `${why.hostedAt}, ${why.session}`,
            "obtained by": why.obtainedBy,
          },
          ...{ "out of": why.from, since: why.since, state: why.state, methods: why.methods },
        },
        unpainted,
      ),
    );
  return Object.defineProperty(why, inspect.custom, { value: text });
}

/** Everything that is held, as rows. */
export function capsOf(all: readonly Known[]): object {
  const columns = [
    { title: "NO", align: "right", of: ({ number }: Known) => `#${number}` },
    { title: "CONTRACT", of: ({ contract }: Known) => contract },
    { title: "STATE", of: stateOf },
    { title: "SINCE", of: ({ sinceMs }: Known) => timeText(sinceMs) },
    { title: "OBTAINED BY", of: ({ chain }: Known) => chain },
  ] as const;
  const rows = all.map((known) => ({ number: known.number, contract: known.contract, state: stateOf(known) }));
  return Object.defineProperty(rows, inspect.custom, {
    value: () => String(table(all, columns, { paint: unpainted, titles: true })),
  });
}

function stateOf({ state, isLost }: Known): string {
  return isLost && state !== "let go" ? "lost with its session" : state;
}
