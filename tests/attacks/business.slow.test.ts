import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AdministrationContract } from "../../shop/contracts/administration.ts";
import { GatewayContract, MyAccountContract } from "../../shop/contracts/gateway.ts";
import type { CreatedOrder, OrderEntry } from "../../shop/contracts/orders.ts";
import type { LoginSession } from "../../shop/contracts/users.ts";
import { callOf, list, type Message, type Outcome } from "./hostile-peer.ts";
import { startTarget, type Target } from "./target.ts";
import { expectRefused, refusalOf, resultOf } from "./verdict.ts";

let target: Target;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target[Symbol.asyncDispose]());

const attack = (name: string, run: () => Promise<void>) => test(name, () => target.attack(run));

const malformed = { codes: ["invalid_argument"] };
const item = { name: "Mouse", quantity: 1, price: 29.99 };
const items = list(item);
const absent = { order: "order999999", user: "user999999", session: "AAAAAAAAAAAAAAAAAAAAAA" };

/** A method of the gateway, of the account of `token`, or of its administration. */
type Place = "gateway" | "account" | "administration";

/** The lines of one call there, and the id of its answer. */
function reach(
  place: Place,
  token: string,
  method: string,
  args: readonly unknown[],
): { lines: Message[]; id: number } {
  if (place === "gateway") return { lines: callOf(method, [token, ...args]), id: 1 };
  const path: Message[] = [["push", ["pipeline", 0, ["account"], [token]]]];
  if (place === "administration") path.push(["push", ["pipeline", 1, ["administration"], []]]);
  const id = path.length + 1;
  return { lines: [...path, ["push", ["pipeline", path.length, [method], args]], ["pull", id]], id };
}

async function result<T>(place: Place, token: string, method: string, ...args: readonly unknown[]): Promise<T> {
  const { lines, id } = reach(place, token, method, args);
  return resultOf(await target.doors[0]!.exchange(lines), id) as T;
}

/** The code, and everything that was said, with nothing in it that differs from call to call. */
function answerOf(outcome: Outcome, id: number): { code: string | undefined; said: string } {
  const answer = outcome.heard.find(([kind, of]) => (kind === "resolve" || kind === "reject") && of === id);
  return { code: refusalOf(outcome, id), said: JSON.stringify(answer).replaceAll(/"[0-9a-f]{32}"/g, '"ID"') };
}

const orderBy = (token: string) => result<CreatedOrder>("gateway", token, "createOrder", items);
const statusOf = async (token: string, id: string) =>
  (await result<OrderEntry>("gateway", token, "getOrder", id)).status;

describe("what belongs to somebody else", () => {
  /** Names of parameters that say which thing is meant. */
  const idNames: ReadonlySet<string> = new Set(["orderId", "userId", "sessionId", "id"]);
  const contracts = { gateway: GatewayContract, account: MyAccountContract, administration: AdministrationContract };
  const takers = Object.entries(contracts).flatMap(([place, { methods }]) =>
    [...methods]
      .filter(([, { params }]) => params.some(({ name }) => idNames.has(name)))
      .map(([method]) => `${place}.${method}`),
  );

  interface Case {
    readonly of: keyof typeof absent;
    /** What comes after the id. */
    readonly more?: readonly unknown[];
    /** As it is for what does not exist, unless the permission decides before. */
    readonly code: "not_found" | "permission_denied";
  }
  /** Every method that takes an id. One that is missing here fails the test. */
  const matrix: Readonly<Record<string, Case>> = {
    "gateway.getOrder": { of: "order", code: "not_found" },
    "gateway.cancelOrder": { of: "order", code: "permission_denied" },
    "gateway.disableUser": { of: "user", code: "permission_denied" },
    "gateway.setRole": { of: "user", more: ["user"], code: "permission_denied" },
    "account.order": { of: "order", code: "not_found" },
    "account.cancelOrder": { of: "order", code: "permission_denied" },
    "account.endSession": { of: "session", code: "not_found" },
    "administration.disableUser": { of: "user", code: "permission_denied" },
    "administration.enableUser": { of: "user", code: "permission_denied" },
    "administration.deleteUser": { of: "user", code: "permission_denied" },
    "administration.setRole": { of: "user", more: ["user"], code: "permission_denied" },
  };

  attack("B1 is answered as what does not exist, by every method that takes an id, and stays as it was", async () => {
    expect(Object.keys(matrix).sort()).toEqual(takers.sort());
    const { alice, bob } = target.tokens;
    const sessions = await result<[LoginSession[]]>("account", alice, "sessions");
    const theirs = {
      order: (await orderBy(alice)).orderId,
      user: "user1",
      session: sessions[0].find(({ isThisOne }) => isThisOne)!.sessionId,
    };
    for (const [name, { of, more = [], code }] of Object.entries(matrix)) {
      const [place = "", method = ""] = name.split(".");
      for (const door of target.doors) {
        const ask = async (id: string) => {
          const call = reach(place as Place, bob, method, [id, ...more]);
          return answerOf(await door.exchange(call.lines), call.id);
        };
        const found = await ask(theirs[of]);
        expect(found.code, `${name} by ${door.name}`).toBe(code);
        expect(found, `${name} by ${door.name}`).toEqual(await ask(absent[of]));
      }
    }
    expect(await statusOf(alice, theirs.order)).toBe("pending");
    expect(await result("gateway", alice, "getUserProfile")).toMatchObject({ userId: "user1", role: "admin" });
    // A list of everybody's orders is refused in the same words for every user it is asked of.
    for (const [place, method] of [
      ["gateway", "listAllOrders"],
      ["account", "allOrders"],
    ] as const) {
      const pages = [[], [{ userId: "user1" }], [{ userId: "user2" }], [{ userId: absent.user }]];
      for (const door of target.doors) {
        const answers = new Set<string>();
        for (const page of pages) {
          const call = reach(place, bob, method, page);
          answers.add(JSON.stringify(answerOf(await door.exchange(call.lines), call.id)));
        }
        expect([...answers], `${method} by ${door.name}`).toEqual([expect.stringContaining("permission_denied")]);
      }
    }
    // And the same for a guess that is no id at all.
    for (const id of ["", "order1 ", "ORDER1", "order01", "../order1", "order1\u0000", "9".repeat(32)]) {
      const codes = ["not_found", "invalid_argument"];
      await expectRefused(target.doors, callOf("getOrder", [bob, id]), { codes });
    }
  });
});

describe("what only administrators may do", () => {
  /** Arguments with which an administrator would be obeyed. */
  const wellFormed: Readonly<Record<string, readonly unknown[]>> = {
    createUser: [{ username: "mallory", password: "correct horse battery", email: "mallory@example.com" }],
    disableUser: ["user3"],
    enableUser: ["user3"],
    deleteUser: ["user3"],
    listUsers: [],
    setRole: ["user2", "admin"],
    listRoles: [],
    createRole: ["overlord", list("system.admin")],
    deleteRole: ["moderator"],
    setRolePermissions: ["user", list("order.create", "system.admin")],
    audit: [],
  };
  /** The gateway's own way to the same; its `listUsers` is the specification's, and everybody's. */
  const atGateway = [...GatewayContract.methods.keys()].filter(
    (name) => AdministrationContract.methods.has(name) && name !== "listUsers",
  );

  attack(
    "B11 nobody else may: each of the methods, asked for by a user and by a moderator, changes nothing",
    async () => {
      expect(Object.keys(wellFormed).sort()).toEqual([...AdministrationContract.methods.keys()].sort());
      expect(atGateway.length).toBeGreaterThanOrEqual(5);
      const { alice, bob } = target.tokens;
      const user = {
        username: "moderator1",
        password: "correct horse battery",
        email: "m@example.com",
        role: "moderator",
      };
      await result("gateway", alice, "createUser", user);
      const [, , login] = (await target.doors[0]!.exchange(callOf("login", [user.username, user.password]))).heard.find(
        ([kind]) => kind === "resolve",
      ) as [string, number, { token: string }];
      const state = async () => [
        await result("administration", alice, "listUsers"),
        await result("administration", alice, "listRoles"),
      ];
      const before = await state();
      expect(await result("gateway", alice, "status")).toMatchObject({ load: { isOverloaded: false } });
      for (const token of [bob, login.token]) {
        await expectRefused(target.doors, callOf("status", [token]), { codes: ["permission_denied"], call: 1 });
        const { lines: asked, id: answered } = reach("account", token, "orderAudit", []);
        await expectRefused(target.doors, asked, { codes: ["permission_denied"], call: answered });
        for (const [method, args] of Object.entries(wellFormed)) {
          const places: Place[] = ["administration", ...(atGateway.includes(method) ? (["gateway"] as const) : [])];
          for (const place of places) {
            const { lines, id } = reach(place, token, method, args);
            await expectRefused(target.doors, lines, { codes: ["permission_denied"], call: id });
          }
        }
      }
      expect(await state()).toEqual(before);
    },
  );
});

describe("an order", () => {
  attack("B2 takes nothing of what its client says beside the lines: no total, discount, owner or status", async () => {
    const { bob } = target.tokens;
    const mine = await result<[OrderEntry[]]>("gateway", bob, "listOrders");
    const extras = {
      total: 0.01,
      discount: 100,
      currency: "XTS",
      status: "paid",
      userId: "user1",
      ownerId: "user1",
      priceMinor: 1,
    };
    for (const [name, value] of Object.entries(extras)) {
      await expectRefused(target.doors, callOf("createOrder", [bob, list({ ...item, [name]: value })]), malformed);
      await expectRefused(
        target.doors,
        callOf("createOrder", [bob, items, undefinedKey, { [name]: value }]),
        malformed,
      );
    }
    for (const price of [-0.01, -5, 0.001, 29.999, 1e6 + 0.01, "29.99", list(), null]) {
      await expectRefused(target.doors, callOf("createOrder", [bob, list({ ...item, price })]), malformed);
    }
    const now = await result<[OrderEntry[]]>("gateway", bob, "listOrders");
    // The honest customer orders meanwhile: whatever came is an honest order.
    for (const { total, status } of now[0].slice(mine[0].length))
      expect([total > 1, status]).toEqual([true, "pending"]);
  });

  attack("B5 has whole quantities of at least one, and a total that is exact", async () => {
    const { bob, charlie } = target.tokens;
    const quantities = [
      -1,
      0,
      0.5,
      1.000_000_1,
      10_001,
      1e9,
      2 ** 31,
      2 ** 53,
      1e308,
      -0,
      "1",
      ["inf"],
      ["nan"],
      ["bigint", "1"],
    ];
    for (const quantity of quantities) {
      await expectRefused(target.doors, callOf("createOrder", [bob, list({ ...item, quantity })]), malformed);
    }
    for (const count of [0, 101, 1_000]) {
      const lines = Array.from({ length: count }, () => item);
      await expectRefused(target.doors, callOf("createOrder", [bob, list(...lines)]), malformed);
    }
    // The most that can be ordered, and it is summed to the cent.
    const most = list(...Array.from({ length: 100 }, () => ({ name: "Yacht", quantity: 10_000, price: 999_999.99 })));
    const { total } = await result<CreatedOrder>("gateway", charlie, "createOrder", most);
    expect(total).toBe(999_999_990_000);
  });

  attack("B6 is placed once for one key: 50 at once, another request, and another user with the same key", async () => {
    const { bob, charlie } = target.tokens;
    const key = `key-${crypto.randomUUID()}`;
    const mine = async (token: string) => (await result<[OrderEntry[]]>("gateway", token, "listOrders"))[0];
    const before = (await mine(charlie)).length;
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, n) => target.doors[n % target.doors.length]!).map((door) =>
        door.exchange(callOf("createOrder", [charlie, items, key])),
      ),
    );
    const orders = outcomes.map((outcome) => resultOf(outcome) as CreatedOrder);
    expect(new Set(orders.map(({ orderId }) => orderId)).size).toBe(1);
    expect((await mine(charlie)).length).toBe(before + 1);
    const other = list({ ...item, quantity: 2 });
    const used = { codes: ["already_exists"] };
    await expectRefused(target.doors, callOf("createOrder", [charlie, other, key]), used);
    expect((await mine(charlie)).length).toBe(before + 1);
    // A key means something to the one who chose it.
    const { orderId } = await result<CreatedOrder>("gateway", bob, "createOrder", items, key);
    expect(orderId).not.toBe(orders[0]!.orderId);
  });
});

/** In the place of the key, so that what comes after it is one argument too many. */
const undefinedKey = ["undefined"];
