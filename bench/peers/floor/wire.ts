// A call is a line `[id, method, args]`, its answer `[id, result]` or `[id, null, message]`. The lines of one turn of the
// event loop leave in one write.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { pathOf } from "../process.ts";

// biome-ignore lint/suspicious/noExplicitAny: the floor checks nothing but what the order needs
type Method = (...args: any[]) => unknown;
type Line = [id: number, ...rest: unknown[]];

function wire(socket: Socket, receive: (line: Line) => void): (line: Line) => void {
  socket.setNoDelay(true).setEncoding("utf8");
  socket.on("error", () => socket.destroy());
  let unread = "";
  socket.on("data", (chunk: string) => {
    const lines = (unread + chunk).split("\n");
    unread = lines.pop() ?? "";
    for (const line of lines) receive(JSON.parse(line));
  });
  let unsent = "";
  function flush(): void {
    socket.write(unsent);
    unsent = "";
  }
  return (line) => {
    if (unsent === "") setImmediate(flush);
    unsent += `${JSON.stringify(line)}\n`;
  };
}

export async function serve(methods: Record<string, Method>, path?: string): Promise<string> {
  const server = createServer((socket) => {
    const send = wire(socket, ([id, method, args]) => void answer(id, String(method), args as unknown[]));
    async function answer(id: number, method: string, args: unknown[]): Promise<void> {
      try {
        send([id, await methods[method]?.(...args)]);
      } catch (error) {
        send([id, null, error instanceof Error ? error.message : String(error)]);
      }
    }
  });
  server.listen(path ? { path } : { host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  return path ? `unix:${path}` : `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export interface Link {
  call<T>(method: string, ...args: unknown[]): Promise<T>;
  close(): void;
}

export async function dial(address: string): Promise<Link> {
  const path = pathOf(address);
  const socket = path ? connect(path) : connect(Number(address.split(":")[1]), "127.0.0.1");
  await once(socket, "connect");
  let lastId = 0;
  const waiting = new Map<number, { resolve(result: never): void; reject(error: Error): void }>();
  const send = wire(socket, ([id, result, error]) => {
    const caller = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) caller?.resolve(result as never);
    else caller?.reject(new Error(String(error)));
  });
  return {
    call: (method, ...args) =>
      new Promise((resolve, reject) => {
        waiting.set(++lastId, { resolve, reject });
        send([lastId, method, args]);
      }),
    close: () => socket.destroy(),
  };
}
