import { poolTo } from "../http.ts";
import { addressOf, announce, ordersAddress, usersAddress } from "../process.ts";
import { userIdOf } from "../token.ts";
import { loginSchema, makeApp, orderSchema } from "./app.ts";

const users = poolTo(usersAddress, 64);
const orders = poolTo(ordersAddress, 64);
const app = makeApp();
app.decorateRequest("userId", "");

declare module "fastify" {
  interface FastifyRequest {
    userId: string;
  }
}

const json = { "content-type": "application/json" };

app.post<{ Body: object }>("/login", { schema: loginSchema }, async ({ body }, reply) => {
  const answer = await users.request({ method: "POST", path: "/login", headers: json, body: JSON.stringify(body) });
  return reply.code(answer.statusCode as 200).send(await answer.body.json());
});

app.post<{ Headers: { authorization?: string; "idempotency-key": string } }>(
  "/orders",
  {
    schema: orderSchema,
    onRequest(request, reply, done) {
      try {
        request.userId = userIdOf(request.headers.authorization?.slice("Bearer ".length) ?? "");
        done();
      } catch {
        void reply.code(401).send({ error: "Invalid or expired token" });
      }
    },
  },
  async ({ userId, headers, body }, reply) => {
    const answer = await orders.request({
      method: "POST",
      path: "/orders",
      headers: { ...json, "x-user-id": userId, "idempotency-key": headers["idempotency-key"] },
      body: JSON.stringify(body),
    });
    // The Order Service's JSON goes out as it came; to parse and write it again measured no different.
    return reply
      .code(answer.statusCode)
      .headers(json)
      .send(await answer.body.text());
  },
);

await app.listen({ host: "127.0.0.1", port: 0 });
announce(addressOf(app.server));
