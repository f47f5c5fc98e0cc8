import { connect, type FlotillaError, withContext } from "@flotilla/kit";
import { expect, test } from "vitest";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import { patiently } from "../gateway-clients.ts";
import { type Processes, startProcesses, until } from "../process-harness.ts";

/** Far above what a call takes, and far below the deadline of those that hang. Milliseconds. */
const besideMsMax = 4_000;
const known = ["placed", "resource_exhausted", "deadline_exceeded", "unavailable"];
const items = [{ name: "Lamp", quantity: 1, price: 29.99 }];

test("an Order Service that hangs does not keep calls from the User Service, and an administrator sees it", async () => {
  await using shop = await startProcesses();
  using greedy = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
  using other = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
  const [bob, alice] = await Promise.all([greedy.main.login("bob", "password"), other.main.login("alice", "password")]);
  await greedy.main.createOrder(bob.token, items);
  const before = await other.main.status(alice.token);
  expect(before).toMatchObject({ version: "0.1.0", load: { isOverloaded: false } });
  expect(before.destinations).toMatchObject([{ name: "users" }, { name: "orders", underWay: 0, refused: 0 }]);

  const pid = shop.pidOf("orders")!;
  process.kill(pid, "SIGSTOP");
  try {
    const hanging = Array.from({ length: 200 }, () =>
      Promise.resolve(greedy.main.createOrder(bob.token, items)).then(
        () => "placed",
        ({ code, message }: FlotillaError) => (known.includes(code) ? code : `${code}: ${message}`),
      ),
    );
    for (let n = 0; n < 5; n += 1) {
      // A hanging call keeps no place: a call beside it is answered well before the hanging one's deadline.
      const call = () => other.main.getUserProfile(alice.token);
      const profile = await patiently(() => withContext({ timeoutMs: besideMsMax }, call));
      expect(profile).toMatchObject({ username: "alice" });
    }
    // Before the heartbeat has ended the session, and so before the gateway is unready.
    await until(async () => (await waitsFor(shop)).includes("orders"), "the gateway names orders");
    const [, orders] = (await other.main.status(alice.token)).destinations;
    expect(orders!.underWay).toBeGreaterThan(0);
    expect(orders!.instances).toMatchObject([{ isOpen: true, instance: expect.any(String) }]);
    process.kill(pid, "SIGCONT");
    // Each hears something: of being placed, of having waited too long to be begun, or, where the machine was slow, of
    // its deadline or of the heartbeat.
    const outcomes = new Set(await Promise.all(hanging));
    expect([...outcomes].filter((outcome) => !known.includes(outcome))).toEqual([]);
  } finally {
    process.kill(pid, "SIGCONT");
  }
});

test("a User Service that hangs is named to whoever asks whether the shop is ready", async () => {
  await using shop = await startProcesses();
  expect(await waitsFor(shop)).toEqual([]);
  expect(shop.output("gateway")).toContain(`Run client with: FLOTILLA_GATEWAY_URL=${shop.urls.gateway} npm run demo\n`);
  using client = connect<Gateway>({ name: "gateway", url: shop.urls.gateway });
  const alice = await client.main.login("alice", "password");
  const pid = shop.pidOf("users")!;
  process.kill(pid, "SIGSTOP");
  try {
    const refused = { code: "unavailable", message: expect.stringContaining("users") };
    await expect(client.main.status(alice.token)).rejects.toMatchObject(refused);
    await until(async () => (await waitsFor(shop)).includes("users"), "the gateway names users");
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await shop.ready();
  await until(async () => (await waitsFor(shop)).length === 0, "the gateway waits for nothing");
});

/** The services that the gateway names at `/readyz`. */
async function waitsFor({ urls }: Processes): Promise<string[]> {
  const { waitsFor = [] } = (await (await fetch(`${urls.gateway}/readyz`)).json()) as { waitsFor?: { name: string }[] };
  return waitsFor.map(({ name }) => name);
}
