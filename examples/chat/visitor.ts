import { connectAll, type RpcStub, RpcTarget } from "@flotilla/kit";
import type { Listener, Room, Seat } from "./room.ts";

/** Comes back by itself when the connection was lost, and asks for what it missed. */
export function visit(url: string, name: string, hear: (line: string) => void) {
  let seen = 0;
  class Ear extends RpcTarget implements Listener {
    hear(number: number, line: string): void {
      if (number > seen + 1) hear(`(${number - seen - 1} missed)`);
      seen = number;
      hear(line);
    }
  }

  const door = connectAll<Room>({ name: "room", urls: [url] });
  let hasLeft = false;
  let seat: Promise<RpcStub<Seat>>;
  enter();

  function enter(): void {
    if (hasLeft) return;
    seat = door.call((room) => room.join(name, new Ear(), seen), { isRepeatable: true });
    seat.then(
      (taken) => taken.onRpcBroken(enter),
      () => {}, // whoever speaks next hears of it
    );
  }

  async function leave(): Promise<void> {
    hasLeft = true;
    (await seat)[Symbol.dispose]();
    door.close();
  }

  return { say: async (text: string) => await (await seat).say(text), leave };
}
