import { expect, test } from "vitest";
import { anonymous, type Peer } from "../base/peer.ts";
import { servicePeer } from "../testing/trio.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { gifterOf, introductionTo } from "./introduction.ts";

const clock = makeVirtualClock();
const badge = introductionTo("badge");
const gateway = servicePeer("gateway");
const wire = { introduction: "n".repeat(24), home: "users", instance: "i".repeat(16) };
const receive = (value: unknown, peer: Peer = gateway) => badge.receive(value, { peer, clock }) as typeof wire;
const refused = expect.objectContaining({ code: "permission_denied", reason: "introduction_refused" });

test("an introduction of a service's is one, and knows who introduced", () => {
  const received = receive(wire);
  expect({ ...received }).toEqual(wire);
  expect(gifterOf(received)).toBe(gateway);
});

test("nobody introduces without proving a name", () => {
  expect(() => receive(wire, anonymous)).toThrow(refused);
});

test.each([
  ["a nonce of another length", { ...wire, introduction: "n".repeat(23) }],
  ["a home that is no service's name", { ...wire, home: "Users" }],
  ["an instance of another length", { ...wire, instance: "i".repeat(15) }],
  ["a field that is no text", { ...wire, instance: 1 }],
  ["a field too few", { introduction: wire.introduction, home: wire.home }],
  ["a field too many", { ...wire, gifter: "gateway" }],
  ["an object of a class", Object.assign(new (class Introduction {})(), wire)],
  ["an object that inherits its fields", Object.create(wire)],
  ["a list", [wire]],
  ["nothing", null],
])("what looks like an introduction with %s is refused", (_, value) => {
  expect(() => receive(value)).toThrow(refused);
});
