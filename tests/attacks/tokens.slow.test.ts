import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Login } from "../../shop/contracts/users.ts";
import { until } from "../process-harness.ts";
import { helloSignedBy } from "./hostile-http.ts";
import { callOf, dial, doorsOf, errorOf } from "./hostile-peer.ts";
import { dissect, forgeries, keyFinders, misstatements, signedBy, stolenTokenKey } from "./hostile-tokens.ts";
import { askOn, callOn, invalidToken, password, peopleAt, revoked } from "./people.ts";
import { startTarget, type Target } from "./target.ts";
import { expectRefused, refusalOf, resultOf } from "./verdict.ts";

let target: Target;
beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target[Symbol.asyncDispose]());

/** Passwords are hashed here, on a machine that may have other things to do. Milliseconds. */
const hangMs = 180_000;
const attack = (name: string, run: () => Promise<void>) => test(name, () => target.attack(run), hangMs);
const { result, refusal, newUser, logIn, expectNoToken } = peopleAt(() => target);

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

/** Newest first. */
async function trailOf(subjectId: string): Promise<string[]> {
  using peer = await dial(target.shop.urls.gateway);
  const office = callOn(peer, peer.call("account", [target.tokens.alice]), ["administration"]);
  const answer = await askOn(peer, office, ["audit", { subjectId }]);
  const { entries } = answer[2] as { entries: [{ event: string }[]] };
  return entries[0].map(({ event }) => event);
}
