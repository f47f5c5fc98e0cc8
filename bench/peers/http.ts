// Calls over HTTP as undici's users make them: one pool per origin, kept alive.
import { Pool } from "undici";
import type { Client } from "../client.ts";
import type { CreatedOrder } from "../work.ts";
import { pathOf } from "./process.ts";

/** An answer that is no success; its status says what to tell one's own caller. */
export class HttpError extends Error {
  readonly statusCode: number;
  constructor(statusCode: number, body: string) {
    super(body);
    this.statusCode = statusCode;
  }
}

export function poolTo(address: string, connections: number): Pool {
  const path = pathOf(address);
  return path
    ? new Pool("http://localhost", { connections, socketPath: path })
    : new Pool(`http://${address}`, { connections });
}

/** A JSON API `POST /login` and `POST /orders` with a bearer token, from outside. */
export function openHttp(gatewayAddress: string, connections: number): Client {
  const pool = poolTo(gatewayAddress, connections);
  async function post<T>(path: string, headers: Record<string, string>, body: object): Promise<T> {
    const answer = await pool.request({
      method: "POST",
      path,
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    if (answer.statusCode >= 400) throw new HttpError(answer.statusCode, await answer.body.text());
    return (await answer.body.json()) as T;
  }
  return {
    login: async (username, password) => (await post<{ token: string }>("/login", {}, { username, password })).token,
    createOrder: (token, items, idempotencyKey) =>
      post<CreatedOrder>("/orders", { authorization: `Bearer ${token}`, "idempotency-key": idempotencyKey }, { items }),
    close: () => pool.close(),
  };
}
