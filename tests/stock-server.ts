import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { RpcTarget } from "@flotilla/kit";
import { type ServerOptions, WebSocketServer } from "ws";
import type { StockVersion } from "./stock-versions.ts";

/** The main object of a stock server. */
export interface Shelf extends RpcTarget {
  add(a: number, b: number): number;
  open(): Drawer;
}
interface Drawer extends RpcTarget {
  /** @returns 3 */
  count(): number;
}

/** Two ways in which a server that knows nothing of ours chooses a subprotocol. */
export const choices: readonly (readonly [what: string, options: ServerOptions, subprotocol: string])[] = [
  ["takes whatever is offered first", {}, "capnweb"],
  ["chooses no subprotocol", { handleProtocols: () => false }, ""],
];

/** A server without any code of ours, written with `ws` and capnweb. */
export interface StockServer extends AsyncDisposable {
  readonly url: string;
  /** The subprotocols of its WebSockets so far. */
  readonly chosen: readonly string[];
  /** Ends all WebSockets, as when a cable breaks. */
  cut(): void;
}

export async function startStockServer({ stock }: StockVersion, options: ServerOptions = {}): Promise<StockServer> {
  class StockDrawer extends stock.RpcTarget {
    count() {
      return 3;
    }
  }
  class StockShelf extends stock.RpcTarget {
    add(a: number, b: number) {
      return a + b;
    }
    open() {
      return new StockDrawer();
    }
  }
  const http = createServer(
    (request, response) => void stock.nodeHttpBatchRpcResponse(request, response, new StockShelf()),
  );
  const server = new WebSocketServer({ server: http, ...options });
  const chosen: string[] = [];
  server.on("connection", (socket) => {
    chosen.push(socket.protocol);
    stock.newWebSocketRpcSession(socket as unknown as WebSocket, new StockShelf());
  });
  const cut = () => {
    for (const socket of server.clients) socket.terminate();
  };
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    chosen,
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}
