import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Clock } from "../base/clock.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { checkReply, makeHelloGuard, replyTo, type Self, sayHello } from "./hello.ts";
import type { Identity } from "./identity.ts";

interface Village {
  readonly keys: ReadonlyMap<string, KeyObject>;
  /** A service as one of its processes; with another key, an impostor. */
  self(name: string, options?: { clock?: Clock; privateKey?: KeyObject }): Self;
}

const clock = makeVirtualClock();

/** Services that know each other's public keys. */
function makeVillage(...names: string[]): Village {
  const pairs = new Map(names.map((name) => [name, generateKeyPairSync("ed25519")]));
  const keys = new Map([...pairs].map(([name, { publicKey }]) => [name, publicKey]));
  return {
    keys,
    self(name, options = {}) {
      const identity: Identity = {
        name,
        privateKey: options.privateKey ?? pairs.get(name)!.privateKey,
        publicKeysOf: (other) => [keys.get(other) ?? []].flat(),
      };
      return { identity, instance: `${name}-instance`.padEnd(16, "0"), clock: options.clock ?? clock };
    },
  };
}

const village = makeVillage("users", "orders", "gateway");
const users = village.self("users");
const orders = village.self("orders");
const stranger = () => generateKeyPairSync("ed25519").privateKey;
const unproven = { code: "unauthenticated", reason: "peer_unproven", message: "The service did not prove who it is" };

/** The wall clock `ms` from the common one. */
const skewed = (ms: number): Clock => ({ ...clock, now: () => clock.now() + ms });

/** A header that is signed as `self` would, with a payload of one's own. */
function forge(self: Self, payload: unknown, purpose = "hello"): string {
  const text = Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload)).toString("base64url");
  const signature = sign(null, Buffer.from(`flotilla ${purpose} v1\n${text}`), self.identity.privateKey);
  return `${text}.${signature.toString("base64url")}`;
}

const statement = (changes: object = {}) => ({
  from: "orders",
  to: "users",
  instance: orders.instance,
  nonce: randomBytes(18).toString("base64url"),
  atMs: clock.now(),
  ...changes,
});

describe("a hello", () => {
  test("with the right keys is accepted, and its reply too", () => {
    const hello = sayHello(orders, "users");
    const accepted = makeHelloGuard(users).accept(hello.header);
    expect(accepted).toMatchObject({
      peer: { kind: "service", name: "orders", instance: orders.instance },
      nonce: hello.nonce,
    });
    const reply = replyTo(accepted, users);
    expect(checkReply(reply, { name: "users", nonce: hello.nonce }, orders)).toMatchObject({
      peer: { kind: "service", name: "users", instance: users.instance },
    });
    expect(accepted.key).toBe(village.keys.get("orders"));
    expect(hello.header.length).toBeLessThan(400);
  });

  test("that is made by the book is accepted: what is forged below fails for the one thing that is wrong", () => {
    expect(makeHelloGuard(users).accept(forge(orders, statement())).peer.name).toBe("orders");
  });

  test("is not the reply that somebody got to a hello of his", () => {
    const accepted = makeHelloGuard(users).accept(sayHello(orders, "users").header);
    expect(() => makeHelloGuard(orders).accept(replyTo(accepted, users))).toThrow(expect.objectContaining(unproven));
  });

  test("is accepted while clocks differ by up to 30 s, in both directions", () => {
    for (const ms of [-30_000, -1, 1, 30_000]) {
      const client = village.self("orders", { clock: skewed(ms) });
      const hello = sayHello(client, "users");
      const reply = replyTo(makeHelloGuard(users).accept(hello.header), users);
      expect(checkReply(reply, { name: "users", nonce: hello.nonce }, client).peer.name).toBe("users");
    }
  });

  const valid = sayHello(orders, "users").header;
  const [payload = "", signature = ""] = valid.split(".");
  const refused: Record<string, () => string> = {
    "signed with another key": () => sayHello(village.self("orders", { privateKey: stranger() }), "users").header,
    "from a service nobody knows": () => sayHello(village.self("mallory", { privateKey: stranger() }), "users").header,
    "from one known service in the name of another": () => forge(village.self("gateway"), statement()),
    "to another service": () => sayHello(orders, "gateway").header,
    "of 61 s ago": () => sayHello(village.self("orders", { clock: skewed(-61_000) }), "users").header,
    "of 31 s ahead": () => sayHello(village.self("orders", { clock: skewed(31_000) }), "users").header,
    "that is a reply": () => forge(orders, statement(), "reply"),
    "with an altered payload": () => `${payload.slice(0, -1)}${payload.endsWith("A") ? "B" : "A"}.${signature}`,
    "with an altered signature": () => `${payload}.${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`,
    "without a signature": () => payload,
    "with an empty signature": () => `${payload}.`,
    "with the signature of another hello": () => `${payload}.${sayHello(orders, "users").header.split(".")[1]}`,
    "that is empty": () => "",
    "of one dot": () => ".",
    "of garbage": () => randomBytes(200).toString("base64url"),
    "of garbage that is signed": () => forge(orders, "garbage"),
    "of null": () => forge(orders, null),
    "of an array": () => forge(orders, [statement()]),
    "with a name that is a path": () => forge(orders, statement({ from: "../orders" })),
    "with a name that ends in a newline": () => forge(orders, statement({ from: "orders\n" })),
    "with a time that is no number": () => forge(orders, statement({ atMs: `${clock.now()}` })),
    "with a time that is no integer": () => forge(orders, statement({ atMs: clock.now() + 0.5 })),
    "without a nonce": () => forge(orders, statement({ nonce: undefined })),
    "with a nonce that is an object": () => forge(orders, statement({ nonce: {} })),
    "with a short nonce": () => forge(orders, statement({ nonce: "short" })),
    "of 1,025 characters": () => forge(orders, statement({ more: "x".repeat(600) })).padEnd(1_025, "="),
  };
  for (const [what, header] of Object.entries(refused)) {
    test(`${what} is refused like all others`, () => {
      expect(() => makeHelloGuard(users).accept(header())).toThrow(expect.objectContaining(unproven));
    });
  }

  test("that was accepted once is refused when it comes again, however its signature is spelled", () => {
    const guard = makeHelloGuard(users);
    const { header } = sayHello(orders, "users");
    guard.accept(header);
    for (const again of [header, `${header}=`, `${header}.more`, `${header}\n`]) {
      expect(() => guard.accept(again)).toThrow(expect.objectContaining(unproven));
    }
  });

  test("is refused again as long as it would be believed, whichever way the clocks differ", async () => {
    for (const ms of [-59_000, 0, 30_000]) {
      const guard = makeHelloGuard(users);
      const { header } = sayHello(village.self("orders", { clock: skewed(ms) }), "users");
      guard.accept(header);
      for (let second = 0; second < 130; second += 1) {
        await clock.advance(1_000);
        // Every hello makes the guard forget what it may.
        guard.accept(sayHello(orders, "users").header);
        expect(() => guard.accept(header)).toThrow(expect.objectContaining(unproven));
      }
    }
  });
});

test("the hellos that are remembered are bounded, and forgotten when nobody would believe them any more", () => {
  let nowMs = clock.now();
  const here = { ...clock, now: () => nowMs };
  const guard = makeHelloGuard(village.self("users", { clock: here }), 3);
  const hello = () => sayHello(village.self("orders", { clock: here }), "users").header;
  for (let round = 0; round < 3; round += 1) guard.accept(hello());
  expect(() => guard.accept(hello())).toThrow(expect.objectContaining({ code: "resource_exhausted" }));
  // What proves nothing takes no room and learns nothing of the bound.
  expect(() => guard.accept("garbage")).toThrow(expect.objectContaining(unproven));
  nowMs += 90_001;
  for (let round = 0; round < 3; round += 1) guard.accept(hello());
  expect(() => guard.accept(hello())).toThrow(expect.objectContaining({ code: "resource_exhausted" }));
});

describe("a reply", () => {
  const hello = sayHello(orders, "users");
  const accepted = makeHelloGuard(users).accept(hello.header);
  const expected = { name: "users", nonce: hello.nonce };
  const refused: Record<string, () => string | undefined> = {
    "that is missing": () => undefined,
    "of another service": () => replyTo(accepted, village.self("gateway")),
    "of a false service with a key of its own": () =>
      replyTo(accepted, village.self("users", { privateKey: stranger() })),
    "to another hello": () => replyTo({ ...accepted, nonce: sayHello(orders, "users").nonce }, users),
    "to another service": () => replyTo({ ...accepted, peer: { ...accepted.peer, name: "gateway" } }, users),
    "that is our own hello, sent back": () => hello.header,
    "that is a hello of the service's to us": () =>
      forge(users, statement({ from: "users", to: "orders", nonce: hello.nonce })),
    "of 61 s ago": () => replyTo(accepted, village.self("users", { clock: skewed(-61_000) })),
    "of 31 s ahead": () => replyTo(accepted, village.self("users", { clock: skewed(31_000) })),
    "of garbage": () => "garbage",
  };
  for (const [what, reply] of Object.entries(refused)) {
    test(`${what} is refused like all others`, () => {
      expect(() => checkReply(reply(), expected, orders)).toThrow(expect.objectContaining(unproven));
    });
  }
});
