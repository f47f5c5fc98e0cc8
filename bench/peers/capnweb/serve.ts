// A server as capnweb's README writes it for Node: WebSocket sessions and HTTP batches on one port.
import { once } from "node:events";
import { createServer } from "node:http";
import { newWebSocketRpcSession, nodeHttpBatchRpcResponse, type RpcTarget } from "capnweb";
import { WebSocket, WebSocketServer } from "ws";
import { addressOf, pathOf } from "../process.ts";

export async function serve(makeMain: () => RpcTarget, path?: string): Promise<string> {
  const server = createServer((request, response) => {
    nodeHttpBatchRpcResponse(request, response, makeMain()).catch((error) => response.writeHead(500).end(`${error}`));
  });
  new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket) => {
    newWebSocketRpcSession(socket as unknown as globalThis.WebSocket, makeMain());
  });
  server.listen(path ? { path } : { host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  return addressOf(server);
}

/** A socket of `ws`: Node's own WebSocket is slower, and knows no Unix sockets. */
export function socketTo(address: string): globalThis.WebSocket {
  const path = pathOf(address);
  const socket = new WebSocket(path ? `ws+unix://${path}:/` : `ws://${address}`, { perMessageDeflate: false });
  return socket as unknown as globalThis.WebSocket;
}
