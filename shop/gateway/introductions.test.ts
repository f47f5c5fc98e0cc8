import { FlotillaError, type Introduction, withContext } from "@flotilla/kit";
import { describe, expect, test } from "vitest";
import { makeShop, type Shop, someItems } from "../../tests/shop-harness.ts";
import type { User } from "../contracts/users.ts";

/** What the Order Service answers to a call with the introduction. */
const list = (shop: Shop) => (user: Introduction<User>) => shop.ordersMain.listOrders(user);

/** How often the User Service was asked for the user of a token. */
function lookUps({ links }: Shop): number {
  return links.gatewayUsers.messages.filter((message) => message.includes("getUserByToken")).length;
}

async function tokensOf(shop: Shop, ...names: string[]): Promise<string[]> {
  const tokens: string[] = [];
  for (const name of names) tokens.push((await shop.login(name)).token);
  return tokens;
}

test("a user is introduced once per login, also when many first calls come at once", async () => {
  await using shop = await makeShop();
  const [token] = (await tokensOf(shop, "bob")) as [string];
  const introductions = new Set<string>();
  const call = (user: Introduction<User>) => {
    introductions.add(user.introduction);
    return list(shop)(user);
  };
  await shop.clock.run(Promise.all(Array.from({ length: 20 }, () => shop.introductions.with(token, call))));
  await shop.clock.run(shop.introductions.with(token, call));
  expect(introductions.size).toBe(1);
  expect(lookUps(shop)).toBe(1);
  expect(shop.users.counts()).toEqual({ deposits: 1, parked: 0 });
});

test("each login has an introduction of its own", async () => {
  await using shop = await makeShop();
  const tokens = await tokensOf(shop, "bob", "bob", "alice");
  for (const token of tokens) await shop.clock.run(shop.introductions.with(token, list(shop)));
  expect(shop.introductions.size).toBe(3);
  expect(shop.users.counts().deposits).toBe(3);
});

test("a bad token is the User Service's error, and leaves nothing", async () => {
  await using shop = await makeShop();
  for (const token of ["", "none", "A".repeat(43)]) {
    await expect(shop.clock.run(shop.introductions.with(token, list(shop)))).rejects.toMatchObject({
      code: "unauthenticated",
      message: "Invalid or expired token",
    });
  }
  expect(shop.introductions.size).toBe(0);
});

test("the table is bounded: the introduction that was not used longest is ended, here and at its home", async () => {
  await using shop = await makeShop({ entriesMax: 2 });
  const [a, b, c] = (await tokensOf(shop, "alice", "bob", "charlie")) as [string, string, string];
  const use = (token: string) => shop.clock.run(shop.introductions.with(token, list(shop)));
  await use(a);
  await use(b);
  // Which was used last is known to the second.
  await shop.clock.advance(1_000);
  await use(a);
  await use(c);
  await shop.clock.advance(10);
  expect(shop.introductions.size).toBe(2);
  expect(shop.users.counts().deposits).toBe(2);
  const before = lookUps(shop);
  await use(a);
  await use(c);
  expect(lookUps(shop)).toBe(before);
  await use(b);
  expect(lookUps(shop)).toBe(before + 1);
});

test("who shares an introduction that another has given up before its home answered gets a new one too", async () => {
  await using shop = await makeShop({ delayMs: 10 });
  const [token] = (await tokensOf(shop, "bob")) as [string];
  let calls = 0;
  const unlucky = shop.introductions.with(token, async (user) => {
    calls += 1;
    if (calls === 1) throw new FlotillaError("unavailable", "not there", { reason: "home_unreachable" });
    return await list(shop)(user);
  });
  const others = Array.from({ length: 5 }, () => shop.introductions.with(token, list(shop)));
  expect(await shop.clock.run(Promise.all([unlucky, ...others]))).toEqual([[], [], [], [], [], []]);
  expect(shop.introductions.size).toBe(1);
  // The Order Service waited for the deposit that was given up.
  await shop.clock.advance(3_000);
});

describe("a kept introduction that turns out to be void", () => {
  test.each(["introduction_refused", "expired", "home_restarted"])("(%s) is replaced once", async (reason) => {
    await using shop = await makeShop();
    const [token] = (await tokensOf(shop, "bob")) as [string];
    await shop.clock.run(shop.introductions.with(token, list(shop)));
    const seen: string[] = [];
    const answer = shop.introductions.with(token, async (user) => {
      seen.push(user.introduction);
      if (seen.length === 1) throw new FlotillaError("permission_denied", "void", { reason });
      return await list(shop)(user);
    });
    expect(await shop.clock.run(answer)).toEqual([]);
    expect(new Set(seen).size).toBe(2);
    await shop.clock.advance(10);
    expect(shop.users.counts().deposits).toBe(1);
  });

  test("and its replacement too, is the caller's error: nobody tries for ever", async () => {
    await using shop = await makeShop();
    const [token] = (await tokensOf(shop, "bob")) as [string];
    await shop.clock.run(shop.introductions.with(token, list(shop)));
    let calls = 0;
    const answer = shop.introductions.with(token, async () => {
      calls += 1;
      throw new FlotillaError("permission_denied", "void", { reason: "introduction_refused" });
    });
    await expect(shop.clock.run(answer)).rejects.toMatchObject({ reason: "introduction_refused" });
    expect(calls).toBe(2);
  });

  test("because the token has ended, is the specification's error", async () => {
    await using shop = await makeShop({ tokenLifetimeMs: 60_000 });
    const [token] = (await tokensOf(shop, "bob")) as [string];
    await shop.clock.run(shop.client.listOrders(token));
    await shop.clock.advance(60_000);
    await expect(shop.clock.run(shop.client.listOrders(token))).rejects.toMatchObject({
      code: "unauthenticated",
      message: "Invalid or expired token",
    });
  });

  test("because the User Service was restarted, is replaced before it is sent", async () => {
    await using shop = await makeShop();
    const [token] = (await tokensOf(shop, "bob")) as [string];
    await shop.clock.run(shop.client.createOrder(token, someItems));
    await shop.restartUsers();
    const before = shop.links.gatewayOrders.messages.length;
    await shop.clock.run(shop.client.createOrder(token, someItems));
    const calls = shop.links.gatewayOrders.messages.slice(before).filter((message) => message.includes("createOrder"));
    expect(calls).toHaveLength(1);
    expect(shop.introductions.size).toBe(1);
    expect(shop.users.counts().deposits).toBe(1);
  });
});

test("after a broken connection to the same User Service every user is introduced anew, without waiting", async () => {
  await using shop = await makeShop({ delayMs: 10 });
  const [token] = (await tokensOf(shop, "bob")) as [string];
  await shop.clock.run(shop.client.createOrder(token, someItems));
  await shop.reconnectUsers();
  const startMs = shop.clock.monotonicMs();
  await shop.clock.run(shop.client.createOrder(token, someItems));
  expect(shop.clock.monotonicMs() - startMs).toBe(60);
  expect(shop.users.counts()).toEqual({ deposits: 1, parked: 0 });
});

test("no introduction that is in use or undecided is ended for another, however small the table", async () => {
  await using shop = await makeShop({ entriesMax: 1, delayMs: 10 });
  const tokens = await tokensOf(shop, "alice", "bob", "charlie", "bob", "alice");
  const answers = tokens.map((token) => shop.introductions.with(token, list(shop)));
  expect(await shop.clock.run(Promise.all(answers))).toEqual([[], [], [], [], []]);
});

test("who comes first in a hurry fails alone: the introduction has time of its own", async () => {
  await using shop = await makeShop({ delayMs: 100 });
  const [token] = (await tokensOf(shop, "bob")) as [string];
  const call = () => shop.introductions.with(token, list(shop));
  const hurried = withContext({ timeoutMs: 150 }, call, shop.clock);
  const patient = withContext({ timeoutMs: 10_000 }, call, shop.clock);
  hurried.catch(() => {});
  expect(await shop.clock.run(patient)).toEqual([]);
  await expect(hurried).rejects.toMatchObject({ code: "deadline_exceeded" });
  await shop.clock.advance(5_000);
});

test("a flood of bad tokens leaves room at the User Service for who is genuine", async () => {
  await using shop = await makeShop({ delayMs: 10 });
  const [token] = (await tokensOf(shop, "bob")) as [string];
  const bad = Array.from({ length: 1_500 }, (_, i) =>
    shop.introductions.with(String(i).padStart(43, "x"), list(shop)).catch((error: { code: string }) => error.code),
  );
  const genuine = shop.introductions.with(token, list(shop));
  // A withdrawal reaches the User Service after two hops of 10 ms, and the gateway's word to give up after three.
  await shop.clock.advance(25);
  expect(shop.users.counts().parked).toBeLessThan(150);
  expect(await shop.clock.run(genuine)).toEqual([]);
  expect(new Set(await shop.clock.run(Promise.all(bad)))).toEqual(new Set(["unauthenticated"]));
});

test("no introduction that a call is using is ended for another, once its home has it too", async () => {
  await using shop = await makeShop({ entriesMax: 1 });
  const [a, b] = (await tokensOf(shop, "alice", "bob")) as [string, string];
  const begun = Promise.withResolvers<void>();
  let calls = 0;
  const using = shop.introductions.with(a, async (user) => {
    calls += 1;
    await begun.promise;
    return await list(shop)(user);
  });
  await shop.clock.advance(100);
  await shop.clock.run(shop.introductions.with(b, list(shop)));
  begun.resolve();
  expect(await shop.clock.run(using)).toEqual([]);
  expect(calls).toBe(1);
});

test("a call whose home is lost again and again is sent four times", async () => {
  await using shop = await makeShop();
  const [token] = (await tokensOf(shop, "bob")) as [string];
  let calls = 0;
  const answer = shop.introductions.with(token, async () => {
    calls += 1;
    if (calls > 10) return "at last";
    throw new FlotillaError("unavailable", "not there", { reason: "home_unreachable" });
  });
  await expect(shop.clock.run(answer)).rejects.toMatchObject({ reason: "home_unreachable" });
  expect(calls).toBe(4);
});

test("an introduction to what was revoked is kept no longer", async () => {
  await using shop = await makeShop();
  const [token] = (await tokensOf(shop, "bob")) as [string];
  await shop.clock.run(shop.introductions.with(token, list(shop)));
  const revoked = async () => {
    throw new FlotillaError("permission_denied", "The capability was revoked", { reason: "revoked" });
  };
  await expect(shop.clock.run(shop.introductions.with(token, revoked))).rejects.toMatchObject({ reason: "revoked" });
  expect(shop.introductions.size).toBe(0);
});

test("what the call itself is refused for is not tried again", async () => {
  await using shop = await makeShop();
  const [token] = (await tokensOf(shop, "bob")) as [string];
  await shop.clock.run(shop.introductions.with(token, list(shop)));
  for (const code of ["permission_denied", "not_found", "unavailable", "deadline_exceeded", "internal"] as const) {
    let calls = 0;
    const answer = shop.introductions.with(token, async () => {
      calls += 1;
      throw new FlotillaError(code, "no");
    });
    await expect(shop.clock.run(answer)).rejects.toMatchObject({ code });
    expect(calls).toBe(1);
  }
  expect(lookUps(shop)).toBe(1);
});

test("disposed, it ends every introduction at its home", async () => {
  await using shop = await makeShop();
  for (const token of await tokensOf(shop, "alice", "bob")) {
    await shop.clock.run(shop.introductions.with(token, list(shop)));
  }
  shop.introductions[Symbol.dispose]();
  await shop.clock.advance(10);
  expect(shop.introductions.size).toBe(0);
  expect(shop.users.counts()).toEqual({ deposits: 0, parked: 0 });
});
