import { connect, type RpcStub, serve } from "@flotilla/kit";
import { type Calculator, calculatorFor } from "./calculator.ts";

export async function calculate(calculator: RpcStub<Calculator>, say: (line: string) => void): Promise<void> {
  say(`2 + 3 = ${await calculator.add(2, 3)}`);

  using sum = calculator.add(20, 22); // not awaited: the promise itself is the argument of the next call
  say(`(20 + 22) / 4 = ${await calculator.divide(sum, 4)}`);

  using memory = calculator.memory(); // an object over there, used before anybody has heard of it here
  const [, recalled] = await Promise.all([memory.store(7), memory.recall()]);
  say(`the memory holds ${recalled}`);

  await calculator.divide(1, 0).catch((error) => say(`1 / 0: ${error.code}, ${error.reason}: ${error.message}`));
  const words = "two" as unknown as number; // what a caller without a type checker may send
  await calculator.add(words, 2).catch((error) => say(`"two" + 2: ${error.code}: ${error.message}`));
}

if (import.meta.main) {
  const server = await serve({ name: "calculator", port: 0, main: calculatorFor });
  let frames = 0;
  const onFrame = (direction: "in" | "out") => {
    if (direction === "out") frames += 1;
  };
  using connection = connect<Calculator>({ name: "calculator", url: server.url, onFrame });
  await calculate(connection.main, console.log);
  console.log(`${frames} frames sent; still held: ${connection.stats().imports - 1}`);
  connection.close();
  await server.drain();
}
