import { FlotillaError, linkLimits, openSession } from "@flotilla/kit";
import { newWebSocketRpcSession, type RpcStub, type RpcTarget } from "capnweb";
import type { Gateway } from "../../shop/contracts/gateway.ts";
import type { Client } from "../client.ts";
import { openChannel, openSocket } from "./channel.ts";

/** Sessions of one user at once are 50, and a session has 8 turns at once. */
const sessionsMax = 32;
/** So a session's message rate, 10,000 in a second, is not what ends a run: an order is three or four. */
const callsPerSession = 4;
/** Of one address at once 16 calls run: `turnsPerAddressMax` at the edge. */
const callsPerAddress = 16;

interface Line {
  readonly gateway: RpcStub<Gateway>;
  underWay: number;
  close(): void;
}

/** As many sessions as `clients` need, from as many addresses of 127.0.0.0/8. */
export async function open(url: string, clients = 1): Promise<Client> {
  const sessions = Math.min(sessionsMax, Math.ceil(clients / callsPerSession));
  const addresses = process.platform === "linux" ? Math.ceil(clients / callsPerAddress) : 1;
  const openLine = process.env.BENCH_CLIENT === "stock" ? openStockLine : openKitLine;
  const lines = await Promise.all(
    Array.from({ length: sessions }, (_, n) => openLine(url, `127.0.0.${2 + (n % addresses)}`)),
  );
  const quietest = () => lines.reduce((best, line) => (line.underWay < best.underWay ? line : best));
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
async function openKitLine(url: string, localAddress: string): Promise<Line> {
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
