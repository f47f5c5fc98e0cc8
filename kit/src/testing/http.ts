import { type IncomingHttpHeaders, request } from "node:http";
import { connect } from "node:net";

/** An HTTP answer, whole. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** What is sent. Default: an empty POST. */
export interface Sent {
  readonly method?: string;
  readonly headers?: Record<string, string | number>;
  /** Several parts are sent chunked, without a content length. */
  readonly body?: string | readonly string[];
}

/** One HTTP request on a connection of its own. */
export function ask(url: string, { method = "POST", headers = {}, body = "" }: Sent = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
    asked.on("error", reject);
    if (typeof body === "string") {
      asked.end(body);
      return;
    }
    for (const part of body) asked.write(part);
    asked.end();
  });
}

/** Sends `bytes` as they are and resolves with all that comes back, when the other side has ended the connection. */
export function sendRaw(url: string, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const { hostname, port } = new URL(url);
    // It keeps its own side open, as a hostile client would: the server has to close.
    const socket = connect({ host: hostname.replace(/[[\]]/g, ""), port: Number(port), allowHalfOpen: true }, () =>
      socket.write(bytes),
    );
    socket.setEncoding("utf8");
    socket.on("data", (part: string) => {
      text += part;
    });
    socket.on("error", () => {});
    socket.on("end", () => socket.destroy());
    socket.on("close", () => resolve(text));
  });
}

/** The upgrade of a browser or a stock client, as it is on the wire. */
export function upgradeRequest({
  path = "/rpc",
  headers = [] as string[],
  key = "dGhlIHNhbXBsZSBub25jZQ==",
} = {}): string {
  const all = [
    `GET ${path} HTTP/1.1`,
    "host: x",
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    `sec-websocket-key: ${key}`,
    ...headers,
  ];
  return `${all.join("\r\n")}\r\n\r\n`;
}
