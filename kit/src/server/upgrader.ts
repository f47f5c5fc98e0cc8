import type { IncomingMessage } from "node:http";
import { WebSocketServer } from "ws";
import type { Limits } from "../base/limits.ts";
import { replyHeader } from "../identity/hello.ts";
import { chosenProtocol } from "../transport/channel.ts";

export interface Upgrader {
  readonly server: WebSocketServer;
  /** Set before the upgrade: what the 101 answer says to the hello of that request. */
  readonly replies: WeakMap<IncomingMessage, string>;
}

/** A WebSocket server for one class of peer: ws takes its frame limit per server. */
export function makeUpgrader(limits: Limits): Upgrader {
  const replies = new WeakMap<IncomingMessage, string>();
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: limits.frameBytesMax,
    maxFragments: limits.fragmentsMax,
    perMessageDeflate: false,
    handleProtocols: (offered) => chosenProtocol(offered) ?? false,
  });
  server.on("headers", (headers, request) => {
    const reply = replies.get(request);
    if (reply) headers.push(`${replyHeader}: ${reply}`);
  });
  return { server, replies };
}

/** Some clients (Java's) offer HTTP/2 on every request: that is no reason to refuse it, and no upgrade of ours. */
export function offersWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === "websocket";
}
