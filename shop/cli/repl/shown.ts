import { inspect } from "node:util";
import { jsonText, shown } from "../text.ts";

export interface Shown {
  readonly number: number;
  readonly contract: string;
  readonly methods: readonly string[];
  readonly state: string;
  readonly isPending: boolean;
}

/** What every capability inherits: how it looks, as text too, and how `using` lets go of it. */
export function showAs(show: () => Shown, release: () => void): object {
  const text = () => {
    const { number, contract, methods, state, isPending } = show();
    const what = isPending ? `promise of ${contract}` : contract;
    return `[${what} #${number}${state === "let go" ? ", let go" : `: ${methods.length} methods`}]`;
  };
  return Object.create(null, {
    [inspect.custom]: { value: text },
    [Symbol.toPrimitive]: { value: text },
    [Symbol.dispose]: { value: release },
  }) as object;
}

interface Named {
  readonly name: string;
  readonly isOptional: boolean;
}

/** `createOrder(items, idempotencyKey?)` */
export function signatureOf(word: string, params: readonly Named[]): string {
  return `${word}(${params.map(({ name, isOptional }) => (isOptional ? `${name}?` : name)).join(", ")})`;
}

/** Of a long text enough is shown to tell two apart. Characters. */
const argumentCharsMax = 24;

/** SECURITY: of what a call was given, what opens something is not shown: of a token its end, of a password nothing. */
export function masked(params: readonly Named[], args: readonly unknown[]): string {
  return args
    .map((arg, i) => {
      const name = params[i]?.name ?? "";
      if (/token/i.test(name)) return typeof arg === "string" ? `…${shown(arg.slice(-8))}` : "…";
      if (typeof arg !== "string" || /password|current|next/i.test(name)) return "…";
      return arg.length > argumentCharsMax ? `${jsonText(arg.slice(0, argumentCharsMax))}…` : jsonText(arg);
    })
    .join(", ");
}
