import { FlotillaError, linkLimits, openSession } from "@flotilla/kit";
import { newHttpBatchRpcSession, newWebSocketRpcSession, type RpcStub, type RpcTarget } from "capnweb";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import type { Client } from "../client.ts";
import { openChannel, openSocket } from "./channel.ts";

/**
 * One client alone makes over 2,500 orders a second, more messages than the edge takes of one session, and nearly more
 * bytes than it reads of one address: here it takes turns among four.
 */
const sessionsMin = 4;
/** Sessions of one user at once are 50, and a session has 8 turns at once. */
const sessionsMax = 32;
/** So a session's message rate, 10,000 in a second, is not what ends a run: an order is three or four. */
const callsPerSession = 4;

interface Line {
  readonly gateway: RpcStub<Gateway>;
  underWay: number;
  close(): void;
}

/** Of one address 256 batches may begin in a second. */
const batchAddresses = 64;

/**
 * As many sessions as `clients` need, each from an address of its own, as customers have them: what the edge reads of one
 * address in a second ended at 5,000 orders.
 */
export async function open(url: string, clients = 1): Promise<Client> {
  if (process.env.BENCH_CLIENT === "batch") return openBatches(url);
  const sessions = Math.min(sessionsMax, Math.max(sessionsMin, Math.ceil(clients / callsPerSession)));
  const addresses = process.platform === "linux" ? sessions : 1;
  const openLine = process.env.BENCH_CLIENT === "stock" ? openStockLine : openKitLine;
  const lines = await Promise.all(
    Array.from({ length: sessions }, (_, n) => openLine(url, `127.0.0.${2 + (n % addresses)}`)),
  );
  let turn = 0;
  const quietest = () => {
    turn += 1;
    const first = lines[turn % lines.length]!;
    return lines.reduce((best, line) => (line.underWay < best.underWay ? line : best), first);
  };
  return {
    async login(username, password) {
      return (await quietest().gateway.login(username, password)).token;
    },
    async createOrder(token, items, idempotencyKey) {
      const line = quietest();
      line.underWay += 1;
      try {
        return await line.gateway.createOrder(token, [...items], idempotencyKey);
      } finally {
        line.underWay -= 1;
      }
    },
    async close() {
      for (const line of lines) line.close();
    },
  };
}

/** What a client that has the kit uses. */
export async function openKitLine(url: string, localAddress: string): Promise<Line> {
  const session = openSession(await openChannel(url, localAddress), { limits: linkLimits });
  const gateway = session.remoteMain as RpcStub<RpcTarget> as RpcStub<Gateway>;
  const close = () => session.close(new FlotillaError("unavailable", "The run is over"));
  return { gateway, underWay: 0, close };
}

/** What a client without anything of ours uses. */
async function openStockLine(url: string, localAddress: string): Promise<Line> {
  const socket = await openSocket(url, localAddress, []);
  const gateway = newWebSocketRpcSession<Gateway>(socket as unknown as globalThis.WebSocket);
  return { gateway, underWay: 0, close: () => socket.close() };
}

/** What a client without a session uses: an HTTP batch for every call, from one address after the other. */
function openBatches(url: string): Client {
  // The Agent of Node's own fetch; without it a connection cannot be told its address.
  const { constructor: Agent } = (globalThis as never)[Symbol.for("undici.globalDispatcher.1")] as {
    constructor: new (options: object) => { close(): Promise<void> };
  };
  const agents = Array.from(
    { length: process.platform === "linux" ? batchAddresses : 1 },
    (_, n) => new Agent({ localAddress: `127.0.0.${2 + n}` }),
  );
  let next = 0;
  async function call<T>(run: (gateway: RpcStub<Gateway>) => PromiseLike<T>): Promise<T> {
    const dispatcher = agents[next++ % agents.length];
    using gateway = newHttpBatchRpcSession<Gateway>(new Request(`${url}/rpc/batch`, { dispatcher } as RequestInit));
    return await run(gateway);
  }
  return {
    login: async (username, password) => (await call((gateway) => gateway.login(username, password))).token,
    createOrder: (token, items, idempotencyKey) =>
      call((gateway) => gateway.createOrder(token, [...items], idempotencyKey)),
    close: async () => void (await Promise.all(agents.map((agent) => agent.close()))),
  };
}
