import { expect, test } from "vitest";
import { anonymous } from "../base/peer.ts";
import type { RpcTarget } from "../rpc/stub.ts";
import { attenuate } from "./attenuate.ts";
import { expose } from "./boundary.ts";
import { contract } from "./contract.ts";

interface Counter extends RpcTarget {
  count(): number;
}
const CounterContract = contract<Counter>("Counter", { count: { params: [] } });

test("a holder that is disposed twice lets go once: the object lives until its last holder is disposed", () => {
  let disposed = 0;
  const counter = {
    count: () => 1,
    [Symbol.dispose]() {
      disposed += 1;
    },
  };
  const boundary = expose(CounterContract, counter, { peer: anonymous });
  const caretaker = attenuate(CounterContract, counter, { times: 1 });
  const last = expose(CounterContract, counter, { peer: anonymous });
  for (const holder of [boundary, caretaker]) {
    holder[Symbol.dispose]();
    holder[Symbol.dispose]();
  }
  expect(disposed).toBe(0);
  last[Symbol.dispose]();
  expect(disposed).toBe(1);
});
