import type { RpcTarget } from "../rpc/stub.ts";
import type { Member } from "./instance.ts";

/** How one of several instances is chosen for a call. */
export interface Choice<T extends RpcTarget> {
  readonly group: string;
  /** Those that this call need not be sent to again. */
  readonly askedInVain?: ReadonlySet<Member<T>> | undefined;
  /** A run that is chosen only if there is no other. */
  readonly except?: string | undefined;
  /** From 0 to 1. */
  random(): number;
}

/**
 * Of two of the best at random the one with fewer calls under way (Mitzenmacher's "power of two choices"); the best are
 * those that can be asked, are staying and do not keep failing.
 */
export function choose<T extends RpcTarget>(
  from: readonly Member<T>[],
  { group, askedInVain, except, random }: Choice<T>,
): Member<T> | undefined {
  if (from.length === 1) return from[0];
  const asked = askedInVain ? from.filter((member) => !askedInVain.has(member)) : from;
  const open = asked.filter(({ connection }) => connection.isOpen);
  const staying = open.filter(({ isLeaving }) => !isLeaving);
  const healthy = staying.filter((member) => member.breakerOf(group).mayPass());
  const others = except === undefined ? [] : healthy.filter(({ connection }) => connection.instance !== except);
  // Never the last one: what fails is still better to ask than nobody. Its breaker lets through what it bears.
  const best = [others, healthy, staying, open, asked, from].find(({ length }) => length > 0);
  return best && lessBusy(best, random);
}

function lessBusy<T extends RpcTarget>(from: readonly Member<T>[], random: () => number): Member<T> {
  const first = Math.floor(random() * from.length);
  if (from.length === 1) return from[0]!;
  const second = (first + 1 + Math.floor(random() * (from.length - 1))) % from.length;
  const [a, b] = [from[first]!, from[second]!];
  return b.underWay < a.underWay ? b : a;
}
