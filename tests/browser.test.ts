import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Connection } from "@flotilla/kit/browser";
import { type Desk, makeDesk, makeRig } from "@flotilla/kit/testing";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packKit } from "../kit/package/pack.ts";
import type { Gateway } from "../shop/contracts/gateway.ts";
import { openChromium, type Site, startSite, whyNoChromium } from "./chromium.ts";
import { makeConsumer } from "./consumer.ts";
import { isShed, patiently } from "./gateway-clients.ts";
import { type Processes, startProcesses, until, untilEqual } from "./process-harness.ts";
import { choices, type Shelf, startStockServer } from "./stock-server.ts";
import { type StockVersion, stockVersions } from "./stock-versions.ts";

type Kit = typeof import("@flotilla/kit/browser");

/** What a page keeps between the steps of a test. */
interface Kept {
  connection: Connection<Gateway>;
  heard: string[];
  token: string;
  key: string;
}
declare global {
  interface Window {
    readonly kit: Kit;
    /** capnweb by its version. */
    readonly stock: Readonly<Record<string, StockVersion["stock"]>>;
    readonly patiently: typeof patiently;
    readonly kept: Kept;
  }
}

const html = `<!doctype html><title>A page</title>
  <script>${isShed} ${patiently}</script>
  <script type="module">
    import * as kit from "/kit.js";
    ${stockVersions.map(({ folder }, at) => `import * as stock${at} from "/${folder}.js";`).join(" ")}
    window.kit = kit;
    window.stock = { ${stockVersions.map(({ version }, at) => `"${version}": stock${at}`).join(", ")} };
  </script>`;

const worker = `
  import { connect } from "/kit.js";
  ${isShed} ${patiently}
  onmessage = async ({ data: url }) => {
    const connection = connect({ name: "gateway", url });
    const { username } = await patiently(() => connection.main.login("bob", "password"));
    const code = await patiently(() => connection.main.account("forged")).catch((error) => error.code);
    connection.close();
    postMessage([username, code]);
  };`;

const stockPath = (folder: string) =>
  fileURLToPath(new URL(`../node_modules/${folder}/dist/index.js`, import.meta.url));

const why = whyNoChromium();

describe.skipIf(why !== undefined)(`a page in Chromium${why ? ` (skipped: ${why})` : ""}`, () => {
  let listed: Site;
  let unlisted: Site;
  let processes: Processes;
  let browser: Browser;

  beforeAll(async () => {
    using consumer = makeConsumer();
    await consumer.install(await packKit());
    const path = join(consumer.dir, "node_modules", "@flotilla", "kit", "dist", "browser.js");
    const stock = stockVersions.map(({ folder }) => [`/${folder}.js`, readFileSync(stockPath(folder), "utf8")]);
    const kit = readFileSync(path, "utf8");
    const files = { "/": html, "/kit.js": kit, "/worker.js": worker, ...Object.fromEntries(stock) };
    [listed, unlisted, browser] = await Promise.all([startSite(files), startSite(files), openChromium()]);
    processes = await startProcesses({ env: { FLOTILLA_ORIGINS: listed.origin } });
  }, 240_000);

  afterAll(async () => {
    await browser?.close();
    await listed?.[Symbol.asyncDispose]();
    await unlisted?.[Symbol.asyncDispose]();
    await processes?.[Symbol.asyncDispose]();
  });

  /** A page of `site` with the build loaded, connected to the gateway, and what it complained of by itself. */
  async function open(site: Site): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(site.origin);
    await page.evaluate((url) => {
      const { kit } = window;
      const heard: string[] = [];
      const connection = kit.connect<Gateway>({ name: "gateway", url, onStatus: (status) => heard.push(status) });
      Object.assign(window, { kept: { connection, heard, token: "", key: kit.newIdempotencyKey() } });
    }, processes.urls.gateway);
    return { page, complaints };
  }

  test("logs in, holds its account and places an order, once however often it is sent", async () => {
    const { page, complaints } = await open(listed);
    const done = await page.evaluate(async () => {
      const { connection, key } = window.kept;
      const { token } = await window.patiently(() => connection.main.login("bob", "password"));
      const account = await window.patiently(() => connection.main.account(token));
      const items = [{ name: "Laptop", quantity: 1, price: 999.99 }];
      const [first, again] = await Promise.all([
        window.patiently(() => account.createOrder(items, key)),
        window.patiently(() => account.createOrder(items, key)),
      ]);
      const profile = await window.patiently(() => account.profile());
      account[Symbol.dispose]();
      return { order: first, isOne: first.orderId === again.orderId, name: profile.username };
    });
    expect(done).toMatchObject({ order: { status: "pending", total: 999.99 }, isOne: true, name: "bob" });
    expect(complaints).toEqual([]);
    await page.close();
  });

  test("gets coded errors, with the request that an operator can look for", async () => {
    const { page, complaints } = await open(listed);
    const errors = await page.evaluate(async () => {
      const { kit } = window;
      const { connection } = window.kept;
      const tell = (error: unknown) => {
        const { code, message, requestId } = error as InstanceType<Kit["FlotillaError"]>;
        return { code, message, requestId, isTold: kit.hasCode(error, code) };
      };
      const wrongPassword = await window.patiently(() => connection.main.login("bob", "wrong")).catch(tell);
      const { token } = await window.patiently(() => connection.main.login("bob", "password"));
      const items = [{ name: "Laptop", quantity: -1, price: 1 }];
      const tooLittle = await window.patiently(() => connection.main.createOrder(token, items)).catch(tell);
      const tooLate = await window
        .patiently(() => kit.withContext({ timeoutMs: 0 }, () => connection.main.listOrders(token)))
        .catch(tell);
      return { wrongPassword, tooLittle, tooLate };
    });
    const requestId = expect.stringMatching(/^[0-9a-f]{32}$/);
    expect(errors.wrongPassword).toMatchObject({ code: "unauthenticated", isTold: true, requestId });
    expect(errors.tooLittle).toMatchObject({ code: "invalid_argument", isTold: true, requestId });
    expect(errors.tooLate).toMatchObject({ code: "deadline_exceeded", isTold: true });
    expect(complaints).toEqual([]);
    await page.close();
  });

  test.each(stockVersions)("places an order by stock $version, over WebSocket and by batch", async ({ version }) => {
    const { page, complaints } = await open(listed);
    const done = await page.evaluate(
      async ([version, url]) => {
        const { newHttpBatchRpcSession, newWebSocketRpcSession } = window.stock[version]!;
        const gateway = newWebSocketRpcSession<Gateway>(`${url.replace("http", "ws")}/rpc`);
        const byBatch = () => newHttpBatchRpcSession<Gateway>(`${url}/rpc/batch`);
        const { token } = await window.patiently(() => gateway.login("bob", "password"));
        const items = [{ name: "Laptop", quantity: 1, price: 999.99 }];
        const key = window.kept.key;
        const first = await window.patiently(() => gateway.createOrder(token, items, key));
        const again = await window.patiently(() => byBatch().createOrder(token, items, key));
        const code = await window.patiently(() => byBatch().listOrders("forged")).catch((error) => error.code);
        const account = gateway.account(token);
        const { username } = await window.patiently(() => account.profile());
        account[Symbol.dispose]();
        gateway[Symbol.dispose]();
        return { total: first.total, isOne: first.orderId === again.orderId, code, username };
      },
      [version, processes.urls.gateway] as const,
    );
    expect(done).toEqual({ total: 999.99, isOne: true, code: "unauthenticated", username: "bob" });
    expect(complaints).toEqual([]);
    await page.close();
  });

  test("calls stock servers of every version, whether or not they choose a subprotocol", async () => {
    await using servers = new AsyncDisposableStack();
    const { page, complaints } = await open(listed);
    for (const stock of stockVersions) {
      for (const [what, options, subprotocol] of choices) {
        const server = servers.use(await startStockServer(stock, options));
        const sums = await page.evaluate(async (url) => {
          const connection = window.kit.connect<Shelf>({ name: "shelf", url });
          // The first attempt fails at a server that chooses no subprotocol.
          connection.opened().catch(() => {});
          while (!connection.isOpen) await new Promise((resolve) => setTimeout(resolve, 10));
          const { main } = connection;
          const drawer = main.open();
          const all = await Promise.all([main.add(1, 1), main.add(2, 2), drawer.count()]);
          drawer[Symbol.dispose]();
          connection.close();
          return all;
        }, server.url);
        expect(sums, `${stock.version} ${what}`).toEqual([2, 4, 3]);
        expect(new Set(server.chosen)).toEqual(new Set([subprotocol]));
      }
    }
    expect(complaints).toEqual([]);
    await page.close();
  });

  test("is back by itself after a restart of the gateway, and goes on with the login that it has", async () => {
    const { page, complaints } = await open(listed);
    const before = await page.evaluate(async () => {
      const { connection, key } = window.kept;
      const { token } = await window.patiently(() => connection.main.login("bob", "password"));
      const account = await window.patiently(() => connection.main.account(token));
      const { orderId } = await window.patiently(() =>
        account.createOrder([{ name: "Mouse", quantity: 2, price: 29.99 }], key),
      );
      Object.assign(window.kept, { token, account });
      return { orderId };
    });
    await processes.kill("gateway");
    const whileAway = await page.evaluate(async () => {
      const { connection } = window.kept;
      while (connection.isOpen) await new Promise((resolve) => setTimeout(resolve, 10));
      return await connection.main.listRoles("any").catch((error) => ({ code: error.code, message: error.message }));
    });
    expect(whileAway).toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("gateway cannot be reached"),
    });
    await processes.start("gateway");
    await until(() => page.evaluate(() => window.kept.connection.isOpen), "the page is back");
    const after = await page.evaluate(async () => {
      const { connection, token, key } = window.kept;
      const { account } = window.kept as unknown as { account: { profile(): Promise<unknown> } };
      const held = await account.profile().catch((error) => error.code);
      const renewed = await window.patiently(() => connection.main.account(token));
      const { orderId } = await window.patiently(() =>
        renewed.createOrder([{ name: "Mouse", quantity: 2, price: 29.99 }], key),
      );
      renewed[Symbol.dispose]();
      return { held, orderId, sessions: connection.sessionNumber, heard: window.kept.heard };
    });
    expect(after).toEqual({
      held: "unavailable",
      orderId: before.orderId,
      sessions: 2,
      heard: ["opening", "open", "away", "open"],
    });
    expect(complaints).toEqual([]);
    await page.close();
  });

  test("of an origin that is not listed gets no session", async () => {
    const { page } = await open(unlisted);
    const refused = await page.evaluate(async () => {
      const { connection } = window.kept;
      const code = await connection.main.login("bob", "password").catch((error) => error.code);
      return { code, isOpen: connection.isOpen, sessions: connection.sessionNumber };
    });
    expect(refused).toEqual({ code: "unavailable", isOpen: false, sessions: 0 });
    await page.close();
  });

  test("lends a service a capability of its own, and leaves nothing behind there", async () => {
    await using rig = makeRig();
    const desk = makeDesk();
    const server = await rig.serve({ main: desk.mainFor, origins: [listed.origin] });
    const { page, complaints } = await open(listed);
    const said = await page.evaluate(async (url) => {
      const { kit } = window;
      class Visitor extends kit.RpcTarget {
        answer() {
          return "from the page";
        }
      }
      const connection = kit.connect<Desk>({ name: "desk", url });
      const visitor = new Visitor() as unknown as Parameters<Desk["ask"]>[0];
      const answer = await connection.main.ask(visitor);
      const ticket = connection.main.take(7);
      const number = await ticket.getNumber();
      ticket[Symbol.dispose]();
      return [answer, number];
    }, server.url);
    expect(said).toEqual(["from the page", 7]);
    await until(() => desk.live() === 1, "the ticket released");
    await untilEqual(server.stats, { sessions: 1, imports: 1, exports: 1 });
    expect(complaints).toEqual([]);
    await page.close();
    await untilEqual(server.stats, { sessions: 0, imports: 0, exports: 0 });
  });

  test.each([
    ["the network is back", () => window.dispatchEvent(new Event("online"))],
    ["somebody looks at it", () => document.dispatchEvent(new Event("visibilitychange"))],
    ["it comes out of the browser's cache", () => window.dispatchEvent(new Event("pageshow"))],
  ])("dials at once when %s", async (_, wake) => {
    await using rig = makeRig();
    const desk = makeDesk();
    const options = { main: desk.mainFor, origins: [listed.origin] };
    const server = await rig.serve(options);
    const { page } = await open(listed);
    const isOpen = () => page.evaluate(() => window.kept.connection.isOpen);
    await page.evaluate(async (url) => {
      const { kit } = window;
      // No wait of it ever ends, so that only a wake can bring it back.
      const clock = { ...kit.systemClock, after: () => () => {} };
      window.kept.connection = kit.connect({ name: "desk", url, clock });
      await window.kept.connection.opened();
    }, server.url);
    await server.drain();
    await until(async () => !(await isOpen()), "the session is over");
    await rig.serve({ ...options, port: Number(new URL(server.url).port) });
    expect(await isOpen()).toBe(false);
    await page.evaluate(wake);
    await until(isOpen, "the page is back");
    await page.close();
  });

  test("may connect from a worker", async () => {
    const { page, complaints } = await open(listed);
    const said = await page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const started = new Worker("/worker.js", { type: "module" });
          started.onmessage = ({ data }) => resolve(data);
          started.onerror = ({ message }) => resolve(message);
          started.postMessage(url);
        }),
      processes.urls.gateway,
    );
    expect(said).toEqual(["bob", "unauthenticated"]);
    expect(complaints).toEqual([]);
    await page.close();
  });
});
