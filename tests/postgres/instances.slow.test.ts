import { mkdtempDisposableSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAll } from "@flotilla/kit";
import { describe, expect, test } from "vitest";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import { portVariable, serviceNames } from "../../shop/topology.ts";
import { ratesMax } from "../faults/kills.ts";
import { sendOrderers } from "../faults/orderers.ts";
import { isAlive, npmStart } from "../npm-start.ts";
import { type PostgresServer, startPostgres, whyNoPostgres } from "../postgres.ts";
import { expectFree, strayFilesIn, until, untilEqual } from "../process-harness.ts";

const operations = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
/** As the page tells it. */
const args = /^npm start -- (.*)$/m.exec(operations)?.[1]?.split(" ") ?? [];
const processNames = serviceNames.flatMap((name) => [`${name}.1`, `${name}.2`]);

interface Supervised extends AsyncDisposable {
  readonly gatewayUrls: readonly string[];
  /** Everything it has printed. */
  output(): string;
  /** By name, as the supervisor shows it. */
  pidOf(name: string): number;
}

/** `npm start` with two of each service. Disposing it presses Ctrl+C and asserts that nothing is left. */
async function startTwoOfEach(postgres: PostgresServer, more: Record<string, string> = {}): Promise<Supervised> {
  const dataDir = mkdtempDisposableSync(join(tmpdir(), "flotilla-two-"));
  const env = {
    ...ratesMax,
    ...Object.fromEntries(serviceNames.map((name) => [portVariable(name), "0"])),
    FLOTILLA_DATA: dataDir.path,
    ...postgres.stores(),
    ...more,
  };
  const started = await npmStart(args, env).catch((error: unknown) => {
    dataDir[Symbol.dispose]();
    throw error;
  });
  const urlOf = (name: string) =>
    new RegExp(`✓ ${RegExp.escape(name)} +ready +(\\S+)`).exec(started.output())?.[1] ?? "";
  return {
    gatewayUrls: [urlOf("gateway.1"), urlOf("gateway.2")],
    output: started.output,
    pidOf: (name) => childrenOf(started.pid).get(name)!,
    async [Symbol.asyncDispose]() {
      using _ = dataDir;
      const pids = [...childrenOf(started.pid).values()];
      await started.stop();
      expect(pids).toHaveLength(processNames.length);
      expect(pids.filter(isAlive)).toEqual([]);
      await Promise.all(processNames.map((name) => expectFree(Number(new URL(urlOf(name)).port))));
      expect(strayFilesIn(dataDir.path)).toEqual([]);
      expect(readdirSync(dataDir.path).filter((file) => file.includes(".db"))).toEqual([]);
      const left = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'flotilla%'";
      await untilEqual(() => postgres.sql(left), []);
    },
  };
}

/** Process ids by the name that each was given. */
function childrenOf(pid: number): Map<string, number> {
  const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  return new Map(pids.map((child) => [nameOf(child), child]));
}

function nameOf(pid: number): string {
  const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  const service = serviceNames.find((name) => environment.some((it) => it.startsWith(`${portVariable(name)}=`)));
  return `${service}.${environment.find((it) => it.startsWith("FLOTILLA_INSTANCE="))?.split("=")[1]}`;
}

/** The instances of each service that the gateway at `url` is connected to. */
async function openAt(url: string): Promise<Record<string, string[]>> {
  using gateway = connectAll<Gateway>({ name: "gateway", urls: [url] });
  const { token } = await gateway.call((main) => main.login("alice", "password"), { isRepeatable: true });
  const { destinations } = await gateway.call((main) => main.status(token));
  const open = destinations.map(({ name, instances }) => [
    name,
    instances.filter((it) => it.isOpen).map((it) => it.url),
  ]);
  return Object.fromEntries(open);
}

describe.skipIf(whyNoPostgres)("npm start with two of each service", () => {
  test("takes orders at either gateway, goes on when one of each is killed, which is back, and leaves nothing", async () => {
    await using postgres = await startPostgres();
    await using shop = await startTwoOfEach(postgres);
    expect([...new Set(shop.gatewayUrls)]).toHaveLength(2);
    for (const url of shop.gatewayUrls) {
      await untilEqual(async () => Object.values(await openAt(url)).map((urls) => urls.length), [2, 2]);
    }
    using first = connectAll<Gateway>({ name: "gateway", urls: [shop.gatewayUrls[0]!] });
    using second = connectAll<Gateway>({ name: "gateway", urls: [shop.gatewayUrls[1]!] });
    using either = connectAll<Gateway>({ name: "gateway", urls: shop.gatewayUrls });
    // The one knows the login that was made at the other.
    const { token } = await first.call((main) => main.login("alice", "password"));
    const items = [{ name: "Pencil", quantity: 1, price: 1 }];
    for (const gateway of [first, second]) await gateway.call((main) => main.createOrder(token, items));

    const orderers = await sendOrderers(either, 2);
    for (const name of ["orders.1", "users.2", "gateway.1"]) {
      const pid = shop.pidOf(name);
      await orderers.more();
      process.kill(pid, "SIGKILL");
      await orderers.more();
      await until(() => readyTimes(name) === 2, `${name} is ready again`);
      await orderers.more();
      expect(shop.output()).toMatch(new RegExp(`✗ ${RegExp.escape(name)} +crashed +\\(killed by SIGKILL\\)`));
      expect(shop.pidOf(name)).not.toBe(pid);
    }
    const crashes = [...shop.output().matchAll(/✗ (\S+) +crashed/g)].map((match) => match[1]);
    expect(crashes).toEqual(["orders.1", "users.2", "gateway.1"]);
    expect(await orderers.finish()).toEqual([]);
    expect([...orderers.failed]).toEqual([]);

    function readyTimes(name: string): number {
      return [...shop.output().matchAll(new RegExp(`✓ ${RegExp.escape(name)} +ready`, "g"))].length;
    }
  }, 120_000);

  test("meet at a socket each", async () => {
    await using postgres = await startPostgres();
    using directory = mkdtempDisposableSync(join(tmpdir(), "flotilla-two-"));
    const socketDir = join(directory.path, "sockets");
    {
      await using shop = await startTwoOfEach(postgres, { FLOTILLA_SOCKETS: socketDir });
      const sockets = ["orders.1.sock", "orders.2.sock", "users.1.sock", "users.2.sock"];
      expect(readdirSync(socketDir).sort()).toEqual(sockets);
      for (const url of shop.gatewayUrls) {
        const at = (name: string) => [1, 2].map((n) => `unix:${join(socketDir, `${name}.${n}.sock`)}`);
        await untilEqual(() => openAt(url), { users: at("users"), orders: at("orders") });
      }
    }
    expect(readdirSync(socketDir)).toEqual([]);
  }, 60_000);
});
