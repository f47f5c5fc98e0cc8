import { expect, test } from "vitest";
import { keysIn } from "../../../tests/etcd.ts";
import { until } from "../testing/until.ts";
import { makeVirtualClock } from "../testing/virtual-clock.ts";
import { registerInEtcd } from "./etcd-registration.ts";
import { type FakeEtcd, makeEtcdServer } from "./fixtures/etcd-server.ts";
import { placeIn } from "./fixtures/etcds.ts";

/** An instance that registers for nine virtual seconds at a time. */
function register(etcd: FakeEtcd) {
  const clock = makeVirtualClock();
  const problems: string[] = [];
  const registration = registerInEtcd(placeIn(etcd), {
    instance: "one",
    address: "http://10.0.0.1:8081",
    ttlSeconds: 9,
    clock,
    onProblem: ({ message }) => problems.push(message),
  });
  return {
    ...registration,
    clock,
    problems,
    /** Until etcd is told the next time. */
    async beat() {
      const before = etcd.asked.length;
      await clock.advance(3_000);
      await until(() => etcd.asked.length > before, "etcd was told");
    },
  };
}

const grants = ({ asked }: FakeEtcd) => asked.filter((path) => path === "/v3/lease/grant").length;

test("a lease is renewed in time; one that etcd has lost, or an etcd that was away, is no end", async () => {
  await using etcd = await makeEtcdServer();
  const { registered, beat, problems, end } = register(etcd);
  await registered;
  await beat();
  expect(etcd.asked).toEqual(["/v3/lease/grant", "/v3/kv/put", "/v3/lease/keepalive"]);
  etcd.expire([...etcd.entries.values()][0]!.lease!);
  expect(etcd.entries.size).toBe(0);
  await beat();
  await until(() => etcd.entries.size === 1, "it is written down anew");
  etcd.say = { status: 503, body: "" };
  await beat();
  await until(() => problems.length === 1, "somebody hears of it");
  await beat();
  etcd.say = undefined;
  etcd.expire([...etcd.entries.values()][0]!.lease!);
  await beat();
  await until(() => etcd.entries.size === 1, "it is written down anew");
  expect(problems).toEqual(["etcd cannot be told of this instance"]);
  await end();
  expect(etcd.entries.size).toBe(0);
});

test.each([
  [503, "{}"],
  [200, "nonsense"],
  [200, '{"error":{"message":"no leader"}}'],
  [0, ""],
])("what was granted and could not be written, for an answer of %d %s, is written later", async (status, body) => {
  await using etcd = await makeEtcdServer();
  etcd.say = { path: "/v3/kv/put", status, body };
  const { clock, problems, beat, registered, end } = register(etcd);
  await until(() => etcd.asked.length === 2, "it was asked");
  await clock.advance(2_000);
  await until(() => problems.length === 1, "somebody hears of it");
  etcd.say = undefined;
  await beat();
  await registered;
  expect(etcd.entries.size).toBe(1);
  expect(grants(etcd)).toBe(1);
  await end();
  expect(etcd.entries.size).toBe(0);
});

test.each(['{"error":{"message":"no leader"}}', "{}", '{"result":7}'])(
  "a lease that nobody answers for, but %s, may still be good",
  async (body) => {
    await using etcd = await makeEtcdServer();
    const { beat, problems, registered, end } = register(etcd);
    await registered;
    etcd.say = { path: "/v3/lease/keepalive", status: 200, body };
    await beat();
    await until(() => problems.length === 1, "somebody hears of it");
    etcd.say = undefined;
    await beat();
    expect([grants(etcd), etcd.entries.size]).toEqual([1, 1]);
    await end();
  },
);

test("a registration ends in time also where etcd says nothing, and takes back what it was at", async () => {
  await using etcd = await makeEtcdServer();
  const { clock, registered, end, beat, problems } = register(etcd);
  await registered;
  etcd.say = { status: 0, body: "" };
  await beat();
  const before = clock.monotonicMs();
  await clock.run(end());
  expect(clock.monotonicMs() - before).toBe(2_000);
  expect(etcd.asked.at(-1)).toBe("/v3/lease/revoke");
  expect(problems).toEqual([]);
  etcd.say = undefined;
  await keysIn(etcd).remove("shop/users/one");
});
