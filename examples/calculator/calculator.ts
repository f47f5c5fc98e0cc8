import { arg, contract, expose, FlotillaError, type Peer, type RpcTarget } from "@flotilla/kit";
import { Type } from "typebox";

export interface Calculator extends RpcTarget {
  add(a: number, b: number): number;
  divide(a: number, b: number): number;
  memory(): Memory;
}
export interface Memory extends RpcTarget {
  store(value: number): number;
  recall(): number;
}

const Operand = Type.Number({ minimum: -1e9, maximum: 1e9 });
const operands = [arg("a", Operand), arg("b", Operand)] as const;
const MemoryContract = contract<Memory>("Memory", {
  store: { params: [arg("value", Operand)] },
  recall: { params: [] },
});
const CalculatorContract = contract<Calculator>("Calculator", {
  add: { params: operands },
  divide: { params: operands },
  memory: { params: [], returns: MemoryContract },
});

function makeMemory() {
  let kept = 0;
  return { store: (value: number) => (kept = value), recall: () => kept };
}

const calculator = {
  add: (a: number, b: number) => a + b,
  divide(a: number, b: number) {
    if (b === 0) throw new FlotillaError("invalid_argument", "b must not be 0", { reason: "division_by_zero" });
    return a / b;
  },
  memory: makeMemory,
};

export const calculatorFor = (peer: Peer) => expose(CalculatorContract, calculator, { peer });
