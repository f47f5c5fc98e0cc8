import {
  arg,
  attenuate,
  callback,
  contract,
  expose,
  FlotillaError,
  makeRevoker,
  type Peer,
  type RpcStub,
  type RpcTarget,
} from "@flotilla/kit";
import { Type } from "typebox";

export interface Listener extends RpcTarget {
  hear(number: number, line: string): void;
}
export interface Seat extends RpcTarget {
  say(text: string): number;
}
export interface Room extends RpcTarget {
  join(name: string, listener: RpcStub<Listener>, after: number): Seat;
}

const Name = arg("name", Type.String({ minLength: 1, maxLength: 20 }));
const After = arg("after", Type.Integer({ minimum: 0 }));
const SeatContract = contract<Seat>("Seat", { say: { params: [arg("text", Type.String({ maxLength: 200 }))] } });
const RoomContract = contract<Room>("Room", {
  join: { params: [Name, callback<Listener>("listener"), After], returns: SeatContract },
});

export function makeRoom({ linesKept = 100, seatsMax = 50 } = {}) {
  const lines: { number: number; line: string }[] = [];
  const seats = new Map<RpcStub<Listener>, { name: string; voice: ReturnType<typeof makeRevoker> }>();
  const muted = new Set<string>();
  let last = 0;

  function say(line: string): number {
    lines.push({ number: ++last, line });
    if (lines.length > linesKept) lines.shift();
    for (const listener of seats.keys()) tell(listener, last, line);
    return last;
  }

  function join(name: string, borrowed: RpcStub<Listener>, after: number) {
    if (seats.size >= seatsMax) throw new FlotillaError("resource_exhausted", "The room is full");
    const listener = borrowed.dup();
    const voice = makeRevoker();
    if (muted.has(name)) voice.revoke();
    seats.set(listener, { name, voice });
    for (const { number, line } of lines) if (number > after) tell(listener, number, line);
    const seat = {
      say: (text: string) => say(`${name}: ${text}`),
      [Symbol.dispose]() {
        seats.delete(listener);
        listener[Symbol.dispose]();
      },
    };
    return attenuate(SeatContract, seat, { revoker: voice });
  }

  function mute(name: string): void {
    muted.add(name);
    for (const seat of seats.values()) if (seat.name === name) seat.voice.revoke();
  }

  return { doorFor: (peer: Peer) => expose(RoomContract, { join }, { peer }), mute, taken: () => seats.size };
}

function tell(listener: RpcStub<Listener>, number: number, line: string): void {
  listener.hear(number, line).catch(() => {});
}
