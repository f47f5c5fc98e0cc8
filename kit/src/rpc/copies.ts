import type { Limits } from "../base/limits.ts";
import { tooManyValues } from "./reader.ts";
import type { RpcSessionOptions } from "./session-options.ts";
import { countValues } from "./values.ts";

/** So many values are copied in the time that a line takes (measured: 0.25 µs for each). */
const copiesPerLine = 12;

/** @returns charges a peer for the values that one message of its has copied, and refuses more than may stand in a message. */
export function chargeCopies(
  { messageNodesMax }: Pick<Limits, "messageNodesMax">,
  intake: RpcSessionOptions["intake"],
): (value: unknown) => void {
  let left = messageNodesMax;
  return (value) => {
    const count = countValues(value, left);
    if (count > left) throw tooManyValues(messageNodesMax);
    left -= count;
    intake?.lines(Math.ceil(count / copiesPerLine));
  };
}
