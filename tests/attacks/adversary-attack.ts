import type { Port } from "./adversary-wire.ts";

export interface Attack {
  /** The one that anybody may call. */
  readonly gateway: Port;
  /** Those that serve nobody without a key. */
  readonly inner: readonly Port[];
  /** 0 to below 1, by the run's seed. */
  readonly random: () => number;
  /** By `performance.now()`. */
  readonly endMs: number;
}

export type Technique = (attack: Attack) => Promise<void>;

/** Every port. */
export const all = ({ gateway, inner }: Attack): Port[] => [gateway, ...inner];
export const pick = <T>(list: readonly T[], { random }: Attack): T => list[Math.floor(random() * list.length)]!;
export const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));
