import { describe, expect, test } from "vitest";
import { demoPassword, makeShop, type Shop, someItems } from "../../tests/shop-harness.ts";
import { AdministrationContract } from "../contracts/administration.ts";
import { GatewayContract, MyAccountContract } from "../contracts/gateway.ts";
import { userLimits } from "../service/rate-settings.ts";
import { accountCosts, administrationCosts, costs } from "./rate-limits.ts";

const limited = { code: "resource_exhausted", reason: "rate_limited", retryable: true };
const here = "192.0.2.1";
const there = "198.51.100.1";

type Client = ReturnType<Shop["openClient"]>["main"];

/** How `count` calls that begin at once end: by code, or `ok`. */
async function outcomes(shop: Shop, count: number, call: () => PromiseLike<unknown>): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const calls = Array.from({ length: count }, async () => {
    const outcome = await Promise.resolve(call()).then(
      () => "ok",
      ({ code, reason }: { code: string; reason?: string }) => reason ?? code,
    );
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  });
  await shop.clock.run(Promise.all(calls));
  return counts;
}

const login = (shop: Shop, client: Client, password = demoPassword) => shop.clock.run(client.login("bob", password));

test("what is over the budget is refused with the time to wait, counted, and not forwarded", async () => {
  await using shop = await makeShop({ rates: { userPoints: 10 } });
  const { token } = await shop.login("bob");
  expect(await outcomes(shop, 4, () => shop.client.createOrder(token, someItems))).toEqual({ ok: 4 });
  const said = () => [shop.links.gatewayUsers, shop.links.gatewayOrders].map(({ messages }) => messages.length);
  await shop.clock.advance(100);
  const before = said();
  const refused = shop.clock.run(shop.client.createOrder(token, someItems));
  await expect(refused).rejects.toMatchObject({ ...limited, retryAfterMs: expect.any(Number) });
  await shop.clock.advance(100);
  expect(said()).toEqual(before);
  expect(shop.refusals).toMatchObject([limited]);
  await shop.clock.advance(10_000);
  expect(await outcomes(shop, 1, () => shop.client.createOrder(token, someItems))).toEqual({ ok: 1 });
});

test("the budget of a user is one, over sessions, batches, networks and tokens", async () => {
  await using shop = await makeShop({ rates: { userPoints: 10 } });
  const clients = [
    { network: here, isBatch: false },
    { network: here, isBatch: true },
    { network: there, isBatch: false },
  ].map((peer) => shop.openClient(peer));
  const tokens: string[] = [];
  for (const { main } of clients) tokens.push((await login(shop, main)).token);
  let next = 0;
  const call = () => clients[next % 3]!.main.getUserProfile(tokens[next++ % 3]!);
  expect(await outcomes(shop, 20, call)).toEqual({ ok: 8, rate_limited: 12 });
});

test("a token that nobody confirmed counts for its network only: nobody spends another's budget by making tokens up", async () => {
  await using shop = await makeShop({ rates: { networkPoints: 100, userPoints: 10 } });
  const attacker = shop.openClient({ network: there });
  const { token } = await shop.login("bob");
  expect(await outcomes(shop, 100, () => attacker.main.getUserProfile("A".repeat(43)))).toEqual({
    unauthenticated: 80,
    rate_limited: 20,
  });
  expect(await outcomes(shop, 8, () => shop.client.getUserProfile(token))).toEqual({ ok: 8 });
});

test("a token that another run of the gateway gave out is known after its first call", async () => {
  await using shop = await makeShop({ rates: { userPoints: 10 } });
  const { token } = await shop.clock.run(shop.usersMain.authenticate("bob", demoPassword));
  const asked = () => shop.links.gatewayUsers.messages.filter((it) => it.includes("getUserByToken")).length;
  expect(await outcomes(shop, 20, () => shop.client.getUserProfile(token))).toEqual({ ok: 20 });
  await shop.clock.advance(100);
  expect(asked()).toBe(21);
  expect(await outcomes(shop, 20, () => shop.client.getUserProfile(token))).toEqual({ ok: 8, rate_limited: 12 });
});

test("a token that has ended counts for its network, as any that is none", async () => {
  await using shop = await makeShop({ rates: { userPoints: 10 }, tokenLifetimeMs: 60_000 });
  const { token } = await shop.login("bob");
  await shop.clock.advance(60_000);
  await outcomes(shop, 1, () => shop.client.listUsers(token));
  expect(await outcomes(shop, 20, () => shop.client.listUsers(token))).toEqual({ unauthenticated: 20 });
});

test("fifty sessions may act for a user, and the next for none of theirs but for another; batches do not count", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("bob");
  const alice = await shop.login("alice");
  const sessions = Array.from({ length: 51 }, () => shop.openClient({ network: here, isBatch: false }));
  const ask = ({ main }: { main: Client }, as = token) => outcomes(shop, 1, () => main.getUserProfile(as));
  // The one in which bob logged in has not used the token.
  for (const session of sessions.slice(0, 50)) expect(await ask(session)).toEqual({ ok: 1 });
  const last = sessions[50]!;
  expect(await ask(last)).toEqual({ session_limit: 1 });
  expect(await ask(last, alice.token)).toEqual({ ok: 1 });
  expect(await ask(sessions[0]!)).toEqual({ ok: 1 });
  expect(await ask(shop.openClient({ network: here, isBatch: true }))).toEqual({ ok: 1 });
  sessions[7]!.cut();
  await shop.clock.advance(100);
  expect(await ask(last)).toEqual({ ok: 1 });
});

test("an account counts its session, also by a token that was unknown and when many ask at once", async () => {
  await using shop = await makeShop();
  const { token } = await shop.clock.run(shop.usersMain.authenticate("bob", demoPassword));
  const sessions = Array.from({ length: userLimits.sessionsMax + 5 }, () => shop.openClient({ network: here }));
  const held: Disposable[] = [];
  let next = 0;
  const open = async () => void held.push(await sessions[next++]!.main.account(token));
  const atUsers = shop.links.gatewayUsers.near.stats();
  expect(await outcomes(shop, sessions.length, open)).toEqual({ ok: userLimits.sessionsMax, session_limit: 5 });
  for (const account of held) account[Symbol.dispose]();
  await shop.clock.advance(100);
  expect(shop.links.gatewayUsers.near.stats()).toEqual(atUsers);
});

describe("sessions by a token that has ended", () => {
  const ask = (shop: Shop, { main }: { main: Client }, token: string) =>
    outcomes(shop, 1, () => main.getUserProfile(token));

  /** Bob's token in the hands of another, who holds all of bob's sessions; bob, elsewhere, ends all his logins. */
  async function robbed(shop: Shop) {
    const { token: stolen } = await shop.login("bob");
    const thieves = Array.from({ length: userLimits.sessionsMax }, () => shop.openClient({ network: there }));
    for (const thief of thieves) expect(await ask(shop, thief, stolen)).toEqual({ ok: 1 });
    const bob = shop.openClient({ network: here });
    expect(await ask(shop, bob, stolen)).toEqual({ session_limit: 1 });
    const { token } = await shop.login("bob");
    // A batch, because all of his sessions are taken.
    using account = await shop.clock.run(shop.openClient({ network: here, isBatch: true }).main.account(token));
    await shop.clock.run(account.logoutEverywhere());
    return { stolen, thieves, bob, recovered: (await shop.login("bob")).token };
  }

  test("do not keep their user out, though they say nothing more and stay open", async () => {
    await using shop = await makeShop();
    const { bob, recovered } = await robbed(shop);
    await shop.clock.advance(1_000);
    expect(await ask(shop, bob, recovered)).toEqual({ ok: 1 });
  });

  test("do not keep their user out by going on, and are counted no more", async () => {
    await using shop = await makeShop();
    const { bob, thieves, stolen, recovered } = await robbed(shop);
    await shop.clock.advance(1_000);
    for (let round = 0; round < 3; round += 1) {
      for (const thief of thieves) expect(await ask(shop, thief, stolen)).toEqual({ unauthenticated: 1 });
    }
    const sessions = Array.from({ length: userLimits.sessionsMax - 1 }, () => shop.openClient({ network: here }));
    for (const session of [bob, ...sessions]) expect(await ask(shop, session, recovered)).toEqual({ ok: 1 });
    // They are fifty again, and their tokens hold.
    await shop.clock.advance(1_000);
    expect(await ask(shop, shop.openClient({ network: here }), recovered)).toEqual({ session_limit: 1 });
  });

  test("are looked for once a second, however often a session too many asks", async () => {
    await using shop = await makeShop();
    const { token } = await shop.login("bob");
    const sessions = Array.from({ length: userLimits.sessionsMax }, () => shop.openClient({ network: here }));
    for (const session of sessions) await ask(shop, session, token);
    const last = shop.openClient({ network: here });
    const asked = () => shop.links.gatewayUsers.messages.filter((it) => it.includes("getUserByToken")).length;
    const before = asked();
    expect(await outcomes(shop, 100, () => last.main.getUserProfile(token))).toEqual({ session_limit: 100 });
    expect(asked() - before).toBe(1);
  });
});

test("a user holds so many accounts and administrations, and one more is refused, by itself, until one is released", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("alice");
  const bob = await shop.login("bob");
  const sessions = [here, there].map((network) => shop.openClient({ network }).main) as [Client, Client];
  const held: Disposable[] = [];
  const hold = async (count: number, of: () => PromiseLike<Disposable>) =>
    await outcomes(shop, count, async () => void held.push(await of()));
  const half = userLimits.capabilitiesMax / 2;
  expect(await hold(half, () => sessions[0].account(token))).toEqual({ ok: half });
  expect(await hold(half - 1, () => sessions[1].account(token))).toEqual({ ok: half - 1 });
  const account = held[0] as Awaited<ReturnType<Client["account"]>>;
  expect(await hold(1, () => account.administration())).toEqual({ ok: 1 });
  const atUsers = shop.links.gatewayUsers.near.stats();
  expect(await hold(3, () => sessions[1].account(token))).toEqual({ capability_limit: 3 });
  expect(await hold(3, () => account.administration())).toEqual({ capability_limit: 3 });
  await expect(shop.clock.run(sessions[0].account(token))).rejects.toMatchObject({
    code: "resource_exhausted",
    message: `A user holds at most ${userLimits.capabilitiesMax} accounts and administrations; release some first`,
  });
  // The refused account is not kept at the User Service either, held ones work, and other users are not affected.
  expect(shop.links.gatewayUsers.near.stats()).toEqual(atUsers);
  expect(await shop.clock.run(account.profile())).toMatchObject({ username: "alice" });
  using other = await shop.clock.run(sessions[0].account(bob.token));
  expect(await shop.clock.run(other.profile())).toMatchObject({ username: "bob" });
  for (let n = 0; n < 2; n += 1) held.pop()?.[Symbol.dispose]();
  await shop.clock.advance(10_000);
  expect(await hold(3, () => sessions[1].account(token))).toEqual({ ok: 2, capability_limit: 1 });
  for (const capability of held) capability[Symbol.dispose]();
});

test("log-ins are charged to their network, and limited by their failures", async () => {
  await using shop = await makeShop({ rates: { networkPoints: 2_000 } });
  const [home, elsewhere] = [here, there].map((network) => shop.openClient({ network }).main) as [Client, Client];
  const wrong = await outcomes(shop, 15, () => elsewhere.login("bob", "wrong"));
  expect(wrong).toEqual({ unauthenticated: 10, rate_limited: 5 });
  expect(await outcomes(shop, 20, () => home.login("bob", demoPassword))).toEqual({ ok: 10, rate_limited: 10 });
  await shop.clock.advance(10_000);
  expect(await outcomes(shop, 25, () => home.login("bob", demoPassword))).toEqual({ ok: 10, rate_limited: 15 });
  expect(new Set(shop.refusals.map(({ reason }) => reason))).toEqual(new Set(["rate_limited"]));
});

test("what is done through an account, or as an administrator, is charged to its user like any call", async () => {
  await using shop = await makeShop({ rates: { userPoints: 20 } });
  const { token } = await shop.login("alice");
  using alice = await shop.clock.run(shop.client.account(token));
  using office = await shop.clock.run(alice.administration());
  await shop.clock.advance(10_000);
  // Of 20 points reads may take 16: eight lists of 2.
  expect(await outcomes(shop, 12, () => office.listRoles())).toEqual({ ok: 8, rate_limited: 4 });
  expect(await outcomes(shop, 1, () => alice.profile())).toEqual({ rate_limited: 1 });
  expect(await outcomes(shop, 1, () => shop.client.getUserProfile(token))).toEqual({ rate_limited: 1 });
  expect(shop.refusals).toHaveLength(6);
});

test("a password is guessed no better by changing it than by logging in", async () => {
  await using shop = await makeShop();
  const { token } = await shop.login("bob");
  using bob = await shop.clock.run(shop.client.account(token));
  const guess = (current: string) => bob.changePassword(current, "correct horse battery");
  // What is wrong with the new one is no guess at the old one.
  for (const _ of [1, 2]) {
    const short = await outcomes(shop, 8, () => bob.changePassword(demoPassword, "short"));
    expect(short).toEqual({ password_too_short: 8 });
  }
  await shop.clock.advance(10_000);
  expect(await outcomes(shop, 15, () => guess("wrong"))).toEqual({ wrong_password: 10, rate_limited: 5 });
  expect(await outcomes(shop, 1, () => guess(demoPassword))).toEqual({ rate_limited: 1 });
  expect(await outcomes(shop, 1, () => shop.client.login("bob", "wrong"))).toEqual({ rate_limited: 1 });
});

test.each([
  [GatewayContract.methods, costs],
  [MyAccountContract.methods, accountCosts],
  [AdministrationContract.methods, administrationCosts],
])("every method of a contract has a cost", (methods, costsOf) => {
  expect(Object.keys(costsOf).sort()).toEqual([...methods.keys()].sort());
});
