import { type Channel, type ChannelEvents, FlotillaError, type Framing } from "@flotilla/kit";
import { WebSocket } from "ws";

/** The subprotocol of two that both speak the kit's framing. */
const subprotocol: Framing = "flotilla.v1";

/**
 * Opens a WebSocket from the given address of this machine. `connect` of the kit chooses no address, and the gateway
 * gives each address 16 turns at once: one that offers the load of many clients has to come from several.
 */
export async function openChannel(url: string, localAddress: string): Promise<Channel> {
  const socket = await openSocket(url, localAddress, [subprotocol]);
  let events: ChannelEvents | undefined;
  return {
    framing: subprotocol,
    listen(listener) {
      events = listener;
      socket.on("message", (data) => events?.frame(data.toString()));
      socket.once("close", (code) =>
        events?.closed(new FlotillaError("unavailable", `The gateway closed the connection (${code})`)),
      );
    },
    send: (frame) => socket.send(frame),
    bufferedBytes: () => socket.bufferedAmount,
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
  };
}

/** Resolves when it is open. */
export function openSocket(url: string, localAddress: string, protocols: string[]): Promise<WebSocket> {
  const address = `${url.replace(/^http/, "ws")}/rpc`;
  const socket = new WebSocket(address, protocols, { localAddress, perMessageDeflate: false });
  return new Promise((resolve, reject) => {
    socket.once("open", () => resolve(socket));
    socket.on("error", reject);
  });
}
