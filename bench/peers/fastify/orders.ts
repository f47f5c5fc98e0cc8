import { type Item, totalMinorOf } from "../../work.ts";
import { poolTo } from "../http.ts";
import { addressOf, announce, socketPath, storeOfThisRun, usersAddress } from "../process.ts";
import { makeApp, orderSchema, permissionPath } from "./app.ts";

const store = storeOfThisRun();
const users = poolTo(usersAddress, 64);
const app = makeApp();

interface CreateOrder {
  Headers: { "x-user-id": string; "idempotency-key": string };
  Body: { items: readonly Item[] };
}

app.post<CreateOrder>("/orders", { schema: orderSchema }, async ({ headers, body: { items } }, reply) => {
  // Only the gateway reaches this service, and it set the header from a token that it verified.
  const userId = headers["x-user-id"];
  const answer = await users.request({ method: "GET", path: permissionPath(userId) });
  const { allowed } = (await answer.body.json()) as { allowed: boolean };
  if (!allowed) return reply.code(403).send({ error: "Permission denied" });
  const totalMinor = totalMinorOf(items);
  const { orderId } = await store.place({ userId, items, totalMinor, idempotencyKey: headers["idempotency-key"] });
  return reply.code(201).send({ orderId, total: totalMinor / 100, status: "pending", items });
});

const path = socketPath("orders");
await app.listen(path ? { path } : { host: "127.0.0.1", port: 0 });
announce(addressOf(app.server));
