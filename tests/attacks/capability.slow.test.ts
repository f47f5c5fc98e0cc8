import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inTime } from "./hostile-http.ts";
import { callOf, dial, errorOf, type HostilePeer, list, type Message } from "./hostile-peer.ts";
import { startTarget, type Target } from "./target.ts";
import {
  expectNoEffect,
  expectNothingAsked,
  expectRefused,
  notOffered,
  type Refusal,
  refusalOf,
  resultOf,
} from "./verdict.ts";

let target: Target;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target[Symbol.asyncDispose]());

const attack = (name: string, run: () => Promise<void>) => test(name, () => target.attack(run));

const items = list({ name: "Laptop", quantity: 1, price: 999.99 });
const malformed = { codes: ["invalid_argument"] };
const forbidden = { codes: ["permission_denied"] };
const noSuchMethod = { codes: ["unimplemented"] };

/** Every method of the Order Service that takes a user; `order1` is the honest customer's. */
const withUser = (user: unknown): Message[][] => [
  callOf("createOrder", [user, items]),
  callOf("listOrders", [user]),
  callOf("listAllOrders", [user]),
  callOf("viewOrder", ["order1", user]),
  callOf("cancelOrder", ["order1", user]),
  [
    ["push", ["pipeline", 0, ["getOrder"], ["order1"]]],
    ["push", ["pipeline", 1, ["cancel"], [user]]],
    ["pull", 2],
  ],
];

/** `user` is refused by the Order Service to whoever has the gateway's key. */
async function expectNoUser(user: unknown, refusal: Refusal = forbidden): Promise<void> {
  for (const lines of withUser(user)) {
    const call = lines.length === 3 ? 2 : 1;
    await expectRefused(target.innerDoors.orders, lines, { ...refusal, call });
  }
}

/** The same in place of every text that the gateway and the User Service take. */
async function expectNoText(value: unknown): Promise<void> {
  for (const method of ["getUserProfile", "listUsers", "listOrders"]) {
    await expectRefused(target.doors, callOf(method, [value]), malformed);
  }
  await expectRefused(target.doors, callOf("login", [value, "password"]), malformed);
  await expectRefused(target.doors, callOf("login", ["bob", value]), malformed);
  await expectRefused(target.doors, callOf("createOrder", [value, items]), malformed);
  await expectRefused(target.doors, callOf("createOrder", [target.tokens.bob, value]), malformed);
  await expectRefused(target.doors, callOf("createOrder", [target.tokens.bob, items, value]), malformed);
  await expectRefused(target.doors, callOf("cancelOrder", [target.tokens.bob, value]), malformed);
  for (const method of ["getUser", "getUserByToken"]) {
    await expectRefused(target.innerDoors.users, callOf(method, [value]), malformed);
  }
}

const invented = { introduction: "A".repeat(24), home: "users", instance: "B".repeat(16) };

describe("a capability of the attacker's own", () => {
  attack("C1 an own target with hasPermission is refused as a user, and never called", async () => {
    await expectNoUser(["export", -1]);
    await expectNoText(["export", -1]);
  });

  attack("C2 the same, nested in an array, an object or an error, is refused", async () => {
    const nested = [list(["export", -1]), { user: ["export", -1] }, { ...invented, introduction: ["export", -1] }];
    const inError = ["error", "Error", "a user", null, { user: ["export", -1] }];
    for (const user of [...nested, inError, { ...invented, extra: ["export", -1] }]) {
      await expectNoUser(user);
      await expectNoText(user);
    }
  });

  attack("C3 a proxy that would change its answer between check and use is never asked at all", async () => {
    using peer = await dial(target.shop.urls.orders, { headers: target.helloTo("orders"), framing: "flotilla.v1" });
    const ids = withUser(["export", -1])
      .slice(0, 3)
      .map(([push]) => {
        const id = peer.takeId();
        peer.send(push!, ["pull", id]);
        return id;
      });
    for (const id of ids) expect(errorOf(await peer.answer(id))?.code).toBe("permission_denied");
    expectNothingAsked(peer, "the proxy");
    // Nor does it help to let a part of an introduction be the answer to a later question: a method is no property.
    const noProperty: Refusal = { ...noSuchMethod, session: "lives", says: "getOrder" };
    for (const field of ["introduction", "home", "instance"]) {
      await expectNoUser({ ...invented, [field]: ["pipeline", 0, ["getOrder"]] }, noProperty);
    }
  });
});

/** Leaves the user of `token` at users for orders, as the gateway does it. */
async function introduce(users: HostilePeer, token: string): Promise<object> {
  const nonce = randomBytes(18).toString("base64url");
  const user = users.takeId();
  const deposit = users.takeId();
  users.send(["push", ["pipeline", 0, ["getUserByToken"], [token]]]);
  users.send(["push", ["pipeline", user, ["deposit"], [nonce, "orders", 60_000]]], ["pull", deposit]);
  expect(errorOf(await users.answer(deposit))).toBeUndefined();
  return { introduction: nonce, home: "users", instance: users.instance };
}

describe("a capability that is real, in the wrong place", () => {
  attack(
    "C4 an ordinary user's token or introduction cancels nothing, and one of alice's is not transferable",
    async () => {
      await expectRefused(target.doors, callOf("cancelOrder", [target.tokens.bob, "order1"]), forbidden);
      using users = await dial(target.shop.urls.users, { headers: target.helloTo("users"), framing: "flotilla.v1" });
      const bob = await introduce(users, target.tokens.bob);
      await expectRefused(target.innerDoors.orders, callOf("cancelOrder", ["order1", bob]), forbidden);
      // What was left for orders is not given to anybody else, whoever they say introduced them.
      const alice = (await introduce(users, target.tokens.alice)) as { introduction: string };
      for (const gifter of ["gateway", "orders", "users"]) {
        await expectRefused(target.innerDoors.users, callOf("withdraw", [alice.introduction, gifter]), forbidden);
      }
    },
  );

  attack("C5 a service's own capability, handed back to it as a user, is refused", async () => {
    for (const own of [
      ["pipeline", 1, []],
      ["import", 1],
      ["pipeline", 0, []],
      ["import", 0],
    ]) {
      for (const method of ["createOrder", "listOrders"]) {
        const lines: Message[] = [
          ["push", ["pipeline", 0, ["getOrder"], ["order1"]]],
          ["push", ["pipeline", 0, [method], method === "createOrder" ? [own, items] : [own]]],
          ["pull", 2],
        ];
        await expectRefused(target.innerDoors.orders, lines, { ...forbidden, call: 2 });
      }
      await expectRefused(
        target.innerDoors.users,
        [
          ["push", ["pipeline", 0, ["getUserByToken"], [target.tokens.alice]]],
          ["push", ["pipeline", 1, ["hasPermission"], [own]]],
          ["pull", 2],
        ],
        { ...malformed, call: 2 },
      );
    }
  });

  attack("C7 guessed ids of other sessions' capabilities lead nowhere", async () => {
    for (const id of [-1_000, -7, -3, -2, -1, 1, 2, 3, 7, 1_000]) {
      for (const path of [["getId"], ["listUsers"], []]) {
        const lines: Message[] = [
          ["push", ["pipeline", id, path, []]],
          ["pull", 1],
        ];
        await expectRefused(target.everyDoor, lines, { codes: ["invalid_argument"] });
      }
      await expectRefused(target.everyDoor, [["release", id, 1], ...callOf("listUsers", [["import", id]])], malformed);
    }
  });

  attack("C15 a capability that grants less leads to none that grants more", async () => {
    const reach = (method: string, arg: string, path: readonly string[]): Message[] => [
      ["push", ["pipeline", 0, [method], [arg]]],
      ["push", ["pipeline", 1, path, [randomBytes(18).toString("base64url"), "orders", 60_000]]],
      ["pull", 2],
    ];
    const further = { ...noSuchMethod, call: 2 };
    const beyond = [["parent"], ["admin"], ["store"], ["authenticate"], ["listUsers"], ["getUser"], ["getId", "call"]];
    // Without a token nobody is introduced: a User by its id can be asked, and not deposited.
    for (const path of [...beyond, ["deposit"]]) {
      await expectRefused(target.innerDoors.users, reach("getUser", "user1", path), further);
    }
    for (const path of [...beyond, ["getOrder"], ["createOrder"], ["deposit"]]) {
      await expectRefused(target.innerDoors.orders, reach("getOrder", "order1", path), further);
    }
    // With the key of orders there is no way to a user but to be introduced.
    const asOrders = { headers: target.helloTo("users", "orders") };
    using orders = await dial(target.shop.urls.users, asOrders);
    for (const method of ["getUserByToken", "getUser", "listUsers", "authenticate"]) {
      const id = orders.call(method, ["bob", "password"].slice(0, method === "authenticate" ? 2 : 1));
      expect(errorOf(await orders.answer(id))?.code, method).toBe("unimplemented");
    }
  });
});

describe("what is not in the contract", () => {
  attack("C8 a .map() program is refused wherever it stands, and none is ever sent to a peer", async () => {
    const program = [["pipeline", 0, ["login"], ["bob", "password"]]];
    const remap = ["remap", 0, [], [], program];
    const at: Message[][] = [
      [
        ["push", remap],
        ["pull", 1],
      ],
      callOf("listUsers", [remap]),
      callOf("createOrder", [target.tokens.bob, list({ name: remap, quantity: 1, price: 1 })]),
    ];
    for (const lines of at)
      await expectRefused(target.everyDoor, lines, { ...notOffered, says: "Not offered here: map" });
    const answers: Message[] = [
      ["resolve", 1, remap],
      ["reject", 1, ["error", "Error", "", null, { cause: remap }]],
    ];
    for (const answer of answers) {
      await expectNoEffect(target.everyDoor, answer, callOf("listUsers", [target.tokens.bob]));
    }
  });

  attack("C11 methods of other contracts, of the class, and of every object do not exist", async () => {
    const names = [
      ...["authenticate", "getUser", "getUserByToken", "withdraw", "deposit", "cancelDeposit", "viewOrder"],
      ...["deps", "#deps", "_deps", "invoke", "introduceUser", "hasOwnProperty", "isPrototypeOf", "valueOf"],
      ...[
        "toLocaleString",
        "__defineGetter__",
        "__lookupGetter__",
        "Login",
        "LOGIN",
        "login ",
        "apply",
        "call",
        "bind",
      ],
    ];
    for (const name of names) await expectRefused(target.doors, callOf(name, ["x"]), noSuchMethod);
    for (const name of ["deposit", "#account", "login", "cancel", "valueOf", "userServiceFor"]) {
      await expectRefused(target.innerDoors.users, callOf(name, ["x"]), noSuchMethod);
      await expectRefused(target.innerDoors.orders, callOf(name, ["x"]), noSuchMethod);
    }
  });

  attack("C12 the names that JavaScript and capnweb give a meaning are no way in", async () => {
    const special = ["constructor", "__proto__", "prototype", "toString", "then", "catch", "dup", "map", "onRpcBroken"];
    const names = [...special, "toJSON", "", " ", "Symbol(Symbol.dispose)", "@@dispose", "Symbol.dispose", "0"];
    for (const name of names) {
      for (const path of [[name], ["login", name], [name, name], [name, "constructor"]]) {
        const call: Message[] = [
          ["push", ["pipeline", 0, path, ["return process"]]],
          ["pull", 1],
        ];
        await expectRefused(target.doors, call, noSuchMethod);
      }
    }
    for (const path of [[0], [-1], [null], [{}], [["login"]], "login", 7]) {
      const call: Message[] = [
        ["push", ["pipeline", 0, path, ["x"]]],
        ["pull", 1],
      ];
      await expectRefused(target.doors, call, { codes: ["unimplemented", "invalid_argument"] });
    }
  });

  attack("C13 no field of a service can be read", async () => {
    const fields = ["deps", "#deps", "users", "store", "env", "contract", "#implementation", "implementation", "name"];
    for (const field of [...fields, "length", "constructor", "__proto__", "isReleased"]) {
      for (const path of [[field], ["listUsers", field], [field, "store"]]) {
        const read: Message[] = [
          ["push", ["pipeline", 0, path]],
          ["pull", 1],
        ];
        for (const door of target.everyDoor) {
          const outcome = await door.exchange(read);
          const value = refusalOf(outcome) ?? resultOf(outcome);
          expect(["unimplemented", "undefined"], `${door.name} ${path}`).toContain(String(value));
        }
      }
    }
  });

  attack("C14 releasing the main object ends the attacker's session, and nobody else's", async () => {
    using bystander = await dial(target.shop.urls.gateway);
    for (const release of [
      ["release", 0, 1],
      ["release", 0, -1],
      ["release", 0, 1_000_000],
    ]) {
      const lines = [release, ...callOf("listUsers", [target.tokens.bob])];
      await expectRefused([...target.doors, ...target.innerDoors.orders], lines, malformed);
    }
    const id = bystander.call("listUsers", [target.tokens.bob]);
    expect((await inTime(bystander.answer(id), ["listUsers"]))[0]).toBe("resolve");
  });
});

test("the attacker's doors are open to what is right", async () => {
  for (const door of target.doors) {
    expect(resultOf(await door.exchange(callOf("listUsers", [target.tokens.bob])))).toMatchObject([
      [{ id: "user1" }, {}, {}],
    ]);
  }
  for (const door of target.innerDoors.users) {
    expect(resultOf(await door.exchange(callOf("listUsers", [])))).toMatchObject([[{ id: "user1" }, {}, {}]]);
  }
});
