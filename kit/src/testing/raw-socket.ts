import { type ClientOptions, WebSocket } from "ws";
import type { Rig } from "./rig.ts";

export interface RawSocket {
  readonly socket: WebSocket;
  /** Each message that has arrived. */
  readonly heard: string[];
}

/** A client without a line of ours, once its session is open or refused. `rig` terminates the socket. */
export async function openRawSocket(
  rig: Rig,
  url: string,
  { protocols = [], ...options }: ClientOptions & { readonly protocols?: string[] } = {},
): Promise<RawSocket> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/rpc`, protocols, options);
  rig.onEnd(() => socket.terminate());
  socket.on("error", () => {});
  const heard: string[] = [];
  socket.on("message", (data) => heard.push(String(data)));
  await new Promise((resolve) => socket.once("open", resolve).once("close", resolve));
  return { socket, heard };
}
