import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Login } from "../../shop/contracts/users.ts";
import { until } from "../process-harness.ts";
import { helloSignedBy } from "./hostile-http.ts";
import { callOf, dial, doorsOf, errorOf, type HostilePeer, list, type Message } from "./hostile-peer.ts";
import { dissect, forgeries, keyFinders, misstatements, signedBy, stolenTokenKey } from "./hostile-tokens.ts";
import { startTarget, type Target } from "./target.ts";
import { expectRefused, refusalOf, resultOf } from "./verdict.ts";

let target: Target;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target[Symbol.asyncDispose]());

/** Thousands of passwords are hashed here, on a machine that may have other things to do. Milliseconds. */
const hangMs = 180_000;
const attack = (name: string, run: () => Promise<void>) => test(name, () => target.attack(run), hangMs);

const invalidToken = { codes: ["unauthenticated"] };
const forbidden = { codes: ["permission_denied"] };
const malformed = { codes: ["invalid_argument"] };
const revoked = { code: "permission_denied", fields: { reason: "revoked" } };
const items = list({ name: "Mouse", quantity: 1, price: 29.99 });
const password = "correct horse battery";
/** What DESIGN.md promises of one node. Milliseconds. */
const revokedMsMax = 1_000;

let turn = 0;
/** One call of the gateway, by each door in turn. */
async function call(method: string, ...args: readonly unknown[]) {
  turn += 1;
  return await target.doors[turn % target.doors.length]!.exchange(callOf(method, args));
}
const result = async <T>(method: string, ...args: readonly unknown[]) => resultOf(await call(method, ...args)) as T;
const refusal = async (method: string, ...args: readonly unknown[]) => refusalOf(await call(method, ...args));

/** Somebody new, with `password`. */
async function newUser(role?: string): Promise<{ id: string; username: string }> {
  turn += 1;
  const username = `victim${turn}`;
  const user = { username, password, email: `${username}@example.com`, ...(role !== undefined && { role }) };
  return { id: (await result<{ id: string }>("createUser", target.tokens.alice, user)).id, username };
}

const logIn = (username: string, word = password) => result<Login>("login", username, word);

/** What is refused with what a stranger's text is refused with, at every door, as is the text itself. */
async function expectNoToken(token: string, name: string): Promise<void> {
  for (const method of ["getUserProfile", "account", "logout"]) {
    await expectRefused(target.doors, callOf(method, [token]), invalidToken).catch((error: unknown) => {
      throw new Error(`${name}: ${String(error)}`);
    });
  }
  await expectRefused(target.innerDoors.users, callOf("getUserByToken", [token]), invalidToken);
}

/** Calls a method of what call `of` answers, which may not have been answered yet. */
function callOn(peer: HostilePeer, of: number, [method, ...args]: readonly [string, ...unknown[]]): number {
  const id = peer.takeId();
  peer.send(["push", ["pipeline", of, [method], args]], ["pull", id]);
  return id;
}
const askOn = (peer: HostilePeer, of: number, asked: readonly [string, ...unknown[]]): Promise<Message> =>
  peer.answer(callOn(peer, of, asked));

describe("tokens made by hand", () => {
  attack("A1 of no algorithm, or of one that makes a secret of the public key, are none", async () => {
    const genuine = dissect(target.tokens.alice);
    for (const [name, token] of Object.entries(forgeries(genuine, stolenTokenKey(target.shop.dataDir)))) {
      await expectNoToken(token, name);
    }
  });

  attack("A2 of another audience, issuer, type or time, or with less or more in them than ours, are none", async () => {
    const key = stolenTokenKey(target.shop.dataDir);
    const { header, claims } = dissect(target.tokens.bob);
    expect(await refusal("getUserProfile", signedBy(key, header, claims)), "the same, in the same words").toBe(
      undefined,
    );
    for (const [name, token] of Object.entries(misstatements({ header, claims, signature: "" }, key))) {
      await expectNoToken(token, name);
    }
  });

  attack("A2 a refresh token is no access token, and the other way round", async () => {
    const { username } = await newUser();
    const { token, refreshToken } = await logIn(username);
    await expectNoToken(refreshToken, "refresh as access");
    await expectRefused(target.doors, callOf("refresh", [token]), invalidToken);
    expect(await refusal("getUserProfile", token)).toBe(undefined);
    await result("logout", token);
  });

  attack("A3 that say where their key is are none, and nobody goes and looks", async () => {
    let looks = 0;
    const lure = createServer((_, response) => void response.end()).on("connection", () => {
      looks += 1;
    });
    await new Promise<void>((resolve) => lure.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(lure.address() as AddressInfo).port}`;
      for (const [name, token] of Object.entries(keyFinders(dissect(target.tokens.alice), url))) {
        await expectNoToken(token, name);
      }
      expect(looks).toBe(0);
    } finally {
      lure.close();
    }
  });
});

attack("A16 a user's token, and the key that signs them, make no service of anybody", async () => {
  const key = stolenTokenKey(target.shop.dataDir);
  const [header, claims, signature] = target.tokens.alice.split(".");
  for (const to of ["users", "orders"] as const) {
    const hellos = [
      () => ({ "flotilla-hello": target.tokens.alice }),
      () => ({ "flotilla-hello": `${claims}.${signature}` }),
      () => ({ "flotilla-hello": `${header}.${signature}` }),
      () => ({ authorization: `Bearer ${target.tokens.alice}` }),
      () => helloSignedBy(key, "gateway", to),
      () => ({ ...helloSignedBy(key, "users", to), authorization: `Bearer ${target.tokens.alice}` }),
    ];
    for (const headers of hellos) {
      for (const door of doorsOf(to, target.shop.urls[to], { headers })) {
        const refused = await door.exchange(callOf("listUsers", [])).then((it) => refusalOf(it), String);
        expect(refused, door.name).toMatch(/^unauthenticated$|refused: 401/);
      }
    }
  }
});

describe("refresh tokens", () => {
  attack("A4 that were stolen and used again end the login for thief and owner, and say so in the trail", async () => {
    const { id, username } = await newUser();
    const stolen = (await logIn(username)).refreshToken;
    const other = await logIn(username);
    const owner = await result<Login>("refresh", stolen);
    using peer = await dial(target.shop.urls.gateway);
    const account = peer.call("account", [owner.token]);
    expect(errorOf(await peer.answer(account))).toBeUndefined();
    // Within the time of grace the thief is told what the owner was told, and nothing more.
    expect((await result<Login>("refresh", stolen)).refreshToken).toBe(owner.refreshToken);
    await until(async () => (await refusal("refresh", stolen)) === "unauthenticated", "the time of grace is over");
    await expectRefused(target.doors, callOf("refresh", [owner.refreshToken]), invalidToken);
    await expectNoToken(owner.token, "the owner's");
    expect(errorOf(await askOn(peer, account, ["profile"]))).toMatchObject(revoked);
    // The owner's other device goes on.
    expect(await refusal("getUserProfile", other.token)).toBe(undefined);
    await result("logout", other.token);
    expect(await trailOf(id)).toContain("refresh_reused");
  });

  attack("A5 fifty times at once have one successor, and the login lives on", async () => {
    const { username } = await newUser();
    const { refreshToken } = await logIn(username);
    using peer = await dial(target.shop.urls.gateway, { framing: "flotilla.v1" });
    const pipelined = Array.from({ length: 25 }, () => peer.call("refresh", [refreshToken]));
    const apart = Array.from({ length: 25 }, () => result<Login>("refresh", refreshToken));
    const answers = await Promise.all(pipelined.map((id) => peer.answer(id)));
    const logins = [
      ...answers.map(
        (answer) => resultOf({ heard: [answer], ended: undefined, status: undefined }, answer[1] as number) as Login,
      ),
      ...(await Promise.all(apart)),
    ];
    expect(new Set(logins.map((login) => login.refreshToken)).size).toBe(1);
    const { token } = await result<Login>("refresh", logins[0]!.refreshToken);
    await result("logout", token);
  });

  attack("A6 whose answer was lost are answered the same once more", async () => {
    const { username } = await newUser();
    const { refreshToken } = await logIn(username);
    // Gone before the answer: it was carried out or not, and the client does not know which.
    const peer = await dial(target.shop.urls.gateway);
    peer.call("refresh", [refreshToken]);
    await new Promise((resolve) => peer.socket.ping(undefined, undefined, resolve));
    peer.tcp.resetAndDestroy();
    const [once, again] = [await result<Login>("refresh", refreshToken), await result<Login>("refresh", refreshToken)];
    expect(again.refreshToken).toBe(once.refreshToken);
    const next = await result<Login>("refresh", again.refreshToken);
    expect(await result<Login[]>("getUserProfile", next.token)).toMatchObject({ username });
    await result("logout", next.token);
  });

  attack("A7 are void after a change of password, a log-out everywhere, and when their owner is disabled", async () => {
    const { id, username } = await newUser();
    using peer = await dial(target.shop.urls.gateway);
    const ends: readonly ((login: Login) => Promise<unknown>)[] = [
      ({ token }) => askOn(peer, peer.call("account", [token]), ["logoutEverywhere"]),
      ({ token }) => askOn(peer, peer.call("account", [token]), ["changePassword", password, `${password} 2`]),
      () => result("disableUser", target.tokens.alice, id),
    ];
    let word = password;
    for (const end of ends) {
      const [first, second] = [await logIn(username, word), await logIn(username, word)];
      await end(first);
      for (const { refreshToken, token } of [first, second]) {
        await expectRefused(target.doors, callOf("refresh", [refreshToken]), invalidToken);
        await expectNoToken(token, "a token of before");
      }
      if (end === ends[1]) word = `${password} 2`;
    }
    expect(await refusal("login", username, word)).toBe("unauthenticated");
  });
});

describe("who has an account, and what its password is", () => {
  attack("A9 is not told by the answer to a log-in, or its size", async () => {
    const victim = await newUser();
    const disabled = await newUser();
    await result("disableUser", target.tokens.alice, disabled.id);
    const answers = new Set<string>();
    for (const door of target.doors) {
      for (const [name, word] of [
        [victim.username, "a wrong word"],
        ["nobody0", "a wrong word"],
        [disabled.username, password],
      ]) {
        const [, , ...said] = (await door.exchange(callOf("login", [name, word]))).heard.at(-1)!;
        answers.add(JSON.stringify(said).replaceAll(/"[0-9a-f]{32}"/g, '"ID"'));
      }
    }
    expect([...answers]).toHaveLength(1);
  });

  attack("A9 is not told by its time: medians of 200 and more are within 5 % of each other", async () => {
    const victim = await newUser();
    const disabled = await newUser();
    await result("disableUser", target.tokens.alice, disabled.id);
    const tries: Record<string, (n: number) => readonly [string, string]> = {
      known: () => [victim.username, "a wrong word"],
      unknown: (n) => [`nobody${String(n).padStart(3, "0")}`, "a wrong word"],
      disabled: () => [disabled.username, password],
    };
    // Where the work is done: at the gateway so many guesses would be refused. With its key the attacker is as near as can be.
    using peer = await dial(target.shop.urls.users, { headers: target.helloTo("users") });
    const tookMs = Object.fromEntries(Object.keys(tries).map((kind) => [kind, [] as number[]]));
    const spread = () => {
      const medians = Object.values(tookMs).map((all) => all.toSorted((a, b) => a - b)[all.length >> 1]!);
      return Math.max(...medians) / Math.min(...medians);
    };
    // On a machine that does other things as well, medians take a while to settle; without the work of hashing they
    // settle at several times each other.
    for (let n = 0; n < 800 && (n < 200 || spread() > 1.05); n += 1) {
      // In turn, so that whatever else the machine does is spread over all of them.
      for (const [kind, attempt] of Object.entries(tries)) {
        const startMs = performance.now();
        const id = peer.call("authenticate", attempt(n));
        const answer = await peer.answer(id);
        tookMs[kind]!.push(performance.now() - startMs);
        expect(errorOf(answer)?.code).toBe("unauthenticated");
        peer.send(["release", id, 1]);
      }
    }
    expect(spread()).toBeLessThanOrEqual(1.05);
  });

  attack("A11 a password is taken or refused as the policy says, and counts to its last character", async () => {
    const create = (word: string, name = `policy${++turn}`) =>
      call("createUser", target.tokens.alice, { username: name, password: word, email: `${name}@example.com` });
    for (const word of [
      "1234567",
      "Sh0rt!!",
      "password",
      "PASSWORD",
      "aaaaaaaaaaaa",
      "x".repeat(1_025),
      "a\ud800bcdefgh",
    ]) {
      expect(refusalOf(await create(word)), word.slice(0, 20)).toBe("invalid_argument");
    }
    for (const word of ["dorothea@example.com", "dorothea1", "flotilla1"]) {
      expect(refusalOf(await create(word, "dorothea")), word).toBe("invalid_argument");
    }
    const words = [
      ...["eightchr", "fourteen chars", "fifteen  chars!", " a leading space ", "🐎🔋📎🎻🐎🔋📎🎻"],
      ...["ab ".repeat(22).slice(0, 64), "ab ".repeat(400).slice(0, 1_024)],
    ];
    for (const word of words) {
      const username = `policy${++turn}`;
      expect(refusalOf(await create(word, username)), word).toBe(undefined);
      const { token } = await logIn(username, word);
      await result("logout", token);
      for (const near of [word.slice(0, -1), `${word.slice(0, 72)}#${word.slice(73)}`, `${word} `].slice(0, 2)) {
        expect(await refusal("login", username, near), near).toBe("unauthenticated");
      }
    }
  });

  attack("A11 the same policy holds for a change of password", async () => {
    const { username } = await newUser();
    const { token } = await logIn(username);
    using peer = await dial(target.shop.urls.gateway);
    const account = peer.call("account", [token]);
    for (const next of ["1234567", "password", `${username}1`, "x".repeat(1_025)]) {
      const error = errorOf(await askOn(peer, account, ["changePassword", password, next]));
      expect(error?.code, next.slice(0, 20)).toBe("invalid_argument");
    }
    expect(errorOf(await askOn(peer, account, ["changePassword", "wrong", "another long word"]))).toMatchObject({
      ...{ code: "unauthenticated", fields: { reason: "wrong_password" } },
    });
    await askOn(peer, account, ["logout"]);
    expect(await refusal("login", username, "another long word")).toBe("unauthenticated");
  });
});

describe("more than one may", () => {
  attack("A13 another's log-in on the same session changes nothing for what was held before", async () => {
    const [mine, other] = [await newUser(), await newUser()];
    using peer = await dial(target.shop.urls.gateway);
    const held: { account: number; token: string; username: string }[] = [];
    for (const { username } of [mine, other, mine]) {
      const answer = await peer.answer(peer.call("login", [username, password]));
      const { token } = answer[2] as Login;
      const account = peer.call("account", [token]);
      expect(errorOf(await askOn(peer, account, ["createOrder", items]))).toBeUndefined();
      held.push({ account, token, username });
    }
    for (const { account, token, username } of held) {
      expect((await askOn(peer, account, ["profile"]))[2]).toMatchObject({ username });
      expect((await peer.answer(peer.call("getUserProfile", [token])))[2]).toMatchObject({ username });
      const [orders] = (await askOn(peer, account, ["orders"]))[2] as [unknown[]];
      expect(orders).toHaveLength(username === mine.username ? 2 : 1);
    }
    for (const { account } of held) await askOn(peer, account, ["logout"]);
  });

  attack("A14 what is pipelined on a token that is none is refused, and nothing of it is done", async () => {
    const bystander = await newUser();
    const { header, claims } = dissect(target.tokens.alice);
    const forged = `${signedBy(stolenTokenKey(target.shop.dataDir), header, claims).slice(0, -8)}AAAAAAAA`;
    const steps: readonly (readonly [number, string, ...unknown[]])[] = [
      [1, "createOrder", items, "a14"],
      [1, "editProfile", { email: "a14@example.com" }],
      [1, "administration"],
      [4, "createUser", { username: "a14", password, email: "a14@example.com" }],
      [4, "disableUser", bystander.id],
      [1, "logoutEverywhere"],
    ];
    const pushes: Message[] = steps.map(([of, method, ...args]) => ["push", ["pipeline", of, [method], args]]);
    const ids = steps.map((_, index) => index + 2);
    const lines: Message[] = [
      ["push", ["pipeline", 0, ["account"], [forged]]],
      ...pushes,
      ...ids.map((id) => ["pull", id]),
    ];
    for (const door of target.doors) {
      const outcome = await door.exchange(lines);
      expect(
        ids.map((id) => refusalOf(outcome, id)),
        door.name,
      ).toEqual(ids.map(() => "unauthenticated"));
    }
    expect(await refusal("login", "a14", password)).toBe("unauthenticated");
    expect(await result("getUserProfile", target.tokens.alice)).toMatchObject({ email: "alice@example.com" });
    await result("logout", (await logIn(bystander.username)).token);
  });

  attack("A15 nobody gives themselves a role, nor a role more than it has", async () => {
    const { id, username } = await newUser("moderator");
    const { token } = await logIn(username);
    const user = { username: "a15", password, email: "a15@example.com" };
    const refused: readonly (readonly [readonly string[], string, ...unknown[]])[] = [
      [forbidden.codes, "setRole", id, "admin"],
      [forbidden.codes, "setRolePermissions", "moderator", list("system.admin")],
      [forbidden.codes, "setRolePermissions", "user", list("system.admin")],
      [forbidden.codes, "createUser", user],
      [forbidden.codes, "createUser", { ...user, role: "admin" }],
      [forbidden.codes, "disableUser", "user1"],
      [forbidden.codes, "listRoles"],
      [malformed.codes, "editProfile", { email: "a15@example.com", role: "admin" }],
      [malformed.codes, "editProfile", { permissions: list("system.admin") }],
      [malformed.codes, "editProfile", { userId: "user1" }],
      [malformed.codes, "createUser", { ...user, id: "user1" }],
      [malformed.codes, "createUser", { ...user, permissions: list("system.admin") }],
    ];
    for (const [codes, method, ...args] of refused) {
      await expectRefused(target.doors, callOf(method, [token, ...args]), { codes });
    }
    using peer = await dial(target.shop.urls.gateway);
    const account = peer.call("account", [token]);
    const office = callOn(peer, account, ["administration"]);
    for (const asked of [
      ["setRole", id, "admin"],
      ["createRole", "superuser", list("system.admin")],
      ["deleteRole", "moderator"],
      ["setRolePermissions", "moderator", list("system.admin")],
      ["deleteUser", "user1"],
      ["enableUser", id],
      ["listUsers"],
      ["audit"],
    ] as const) {
      expect(errorOf(await askOn(peer, office, asked))?.code, asked[0]).toBe("permission_denied");
    }
    expect((await askOn(peer, account, ["profile"]))[2]).toMatchObject({
      role: "moderator",
      email: `${username}@example.com`,
    });
    await askOn(peer, account, ["logout"]);
  });

  attack("A15 who may make users makes no administrators, and disables none", async () => {
    const administration = async (...asked: [string, ...unknown[]]) => {
      using peer = await dial(target.shop.urls.gateway);
      return await askOn(peer, callOn(peer, peer.call("account", [target.tokens.alice]), ["administration"]), asked);
    };
    const granted = list("user.create", "user.delete");
    expect(errorOf(await administration("createRole", "clerk", granted))).toBeUndefined();
    const { id, username } = await newUser("clerk");
    const { token } = await logIn(username);
    const user = (role: string) => ({ username: `made${++turn}`, password, email: "made@example.com", role });
    for (const role of ["admin", "clerk", "moderator"]) {
      await expectRefused(target.doors, callOf("createUser", [token, user(role)]), forbidden);
    }
    await expectRefused(target.doors, callOf("disableUser", [token, "user1"]), forbidden);
    expect(await refusal("createUser", token, user("user"))).toBe(undefined);
    await result("disableUser", target.tokens.alice, id);
  });
});

describe("a capability that is held", () => {
  /** Holds an account and its administration on one WebSocket, and has the Order Service hold its user. */
  async function hold(peer: HostilePeer, { username }: { username: string }) {
    const login = await logIn(username);
    const account = peer.call("account", [login.token]);
    const office = callOn(peer, account, ["administration"]);
    expect(errorOf(await askOn(peer, account, ["createOrder", items]))).toBeUndefined();
    expect(errorOf(await peer.answer(office))).toBeUndefined();
    expect(await refusal("createOrder", login.token, items)).toBe(undefined);
    return { ...login, account, office };
  }

  async function expectDead(peer: HostilePeer, { account, office, token }: Awaited<ReturnType<typeof hold>>) {
    const startMs = performance.now();
    for (const asked of [["createOrder", items], ["orders"], ["profile"], ["administration"]] as const) {
      expect(errorOf(await askOn(peer, account, asked)), asked[0]).toMatchObject(revoked);
    }
    expect(errorOf(await askOn(peer, office, ["listUsers"]))).toMatchObject(revoked);
    expect(["permission_denied", "unauthenticated"]).toContain(await refusal("createOrder", token, items));
    expect(performance.now() - startMs).toBeLessThan(revokedMsMax);
    await expectNoToken(token, "of a login that ended");
  }

  attack("C6 is dead at its next use after a log-out from elsewhere, and that of another login is not", async () => {
    const victim = await newUser();
    using peer = await dial(target.shop.urls.gateway);
    const [held, other] = [await hold(peer, victim), await hold(peer, victim)];
    expect(await result("logout", held.token)).toEqual({ ended: 1 });
    await expectDead(peer, held);
    expect(errorOf(await askOn(peer, other.account, ["orders"]))).toBeUndefined();
    await result("logout", other.token);
    await expectDead(peer, other);
  });

  attack("C6 is dead at its next use when its user is disabled", async () => {
    const victim = await newUser();
    using peer = await dial(target.shop.urls.gateway);
    const held = await hold(peer, victim);
    await result("disableUser", target.tokens.alice, victim.id);
    await expectDead(peer, held);
    expect(await refusal("login", victim.username, password)).toBe("unauthenticated");
  });

  attack("C6 may no more at its next use than its role does then", async () => {
    const moderator = await newUser("moderator");
    using peer = await dial(target.shop.urls.gateway);
    const { account, token } = await hold(peer, moderator);
    const orders: string[] = [];
    for (let n = 0; n < 3; n++) {
      orders.push(((await askOn(peer, account, ["createOrder", items]))[2] as { orderId: string }).orderId);
    }
    expect((await askOn(peer, account, ["cancelOrder", orders[0]]))[2]).toMatchObject({ status: "cancelled" });
    await result("setRole", target.tokens.alice, moderator.id, "user");
    expect(errorOf(await askOn(peer, account, ["cancelOrder", orders[1]]))?.code).toBe("permission_denied");
    await expectRefused(target.doors, callOf("cancelOrder", [token, orders[2]]), forbidden);
    expect(errorOf(await askOn(peer, account, ["orders"]))).toBeUndefined();
    await result("logout", token);
    await refusal("listOrders", token);
  });
});

/** Newest first. */
async function trailOf(subjectId: string): Promise<string[]> {
  using peer = await dial(target.shop.urls.gateway);
  const office = callOn(peer, peer.call("account", [target.tokens.alice]), ["administration"]);
  const answer = await askOn(peer, office, ["audit", { subjectId }]);
  const { entries } = answer[2] as { entries: [{ event: string }[]] };
  return entries[0].map(({ event }) => event);
}
