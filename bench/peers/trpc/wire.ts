// tRPC over WebSocket, as its documentation sets up a server of its own and a client of it.
import { once } from "node:events";
import { createServer } from "node:http";
import { createWSClient, type TRPCWebSocketClient } from "@trpc/client";
import { type AnyRouter, initTRPC } from "@trpc/server";
import { applyWSSHandler } from "@trpc/server/adapters/ws";
import { WebSocket, WebSocketServer } from "ws";
import { z } from "zod";
import { idempotencyKeyPattern } from "../../work.ts";
import { addressOf, pathOf } from "../process.ts";

export const t = initTRPC.create({ isDev: false });

export const credentials = z.object({ username: z.string(), password: z.string() });

export const itemsOf = z
  .array(
    z.strictObject({
      name: z.string().min(1).max(100),
      quantity: z.int().min(1).max(10_000),
      price: z.number().min(0).max(1_000_000),
    }),
  )
  .min(1)
  .max(100);

export const idempotencyKeyOf = z.string().regex(new RegExp(idempotencyKeyPattern));

export async function serve(router: AnyRouter, path?: string): Promise<string> {
  const server = createServer();
  applyWSSHandler({ wss: new WebSocketServer({ server, perMessageDeflate: false }), router });
  server.listen(path ? { path } : { host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  return addressOf(server);
}

/** One connection, which carries all calls: those of one turn of the event loop leave in one frame. */
export function socketTo(address: string): TRPCWebSocketClient {
  const path = pathOf(address);
  return createWSClient({
    url: path ? `ws+unix://${path}:/` : `ws://${address}`,
    WebSocket: WebSocket as unknown as typeof globalThis.WebSocket,
  });
}
