import type { IncomingMessage } from "node:http";
import { type Context, Errors } from "moleculer";
import ApiGateway from "moleculer-web";
import { idempotencyKeyPattern } from "../../work.ts";
import { addressOf, announce, ordersAddress, usersAddress } from "../process.ts";
import { userIdOf } from "../token.ts";
import { makeBroker } from "./broker.ts";

const broker = makeBroker("gateway", `${usersAddress},${ordersAddress}`);
const idempotencyKeyOf = new RegExp(idempotencyKeyPattern);

interface Meta {
  userId: string;
  idempotencyKey: string;
}

const api = broker.createService({
  name: "api",
  mixins: [ApiGateway],
  settings: {
    ip: "127.0.0.1",
    port: 0,
    // Who looks at the body here looks twice: as everywhere with moleculer-web, the action checks what it is given.
    routes: [
      {
        path: "/orders",
        mappingPolicy: "restrict",
        authentication: true,
        bodyParsers: { json: true },
        etag: false,
        aliases: { "POST /": "orders.create" },
      },
      {
        path: "/login",
        mappingPolicy: "restrict",
        bodyParsers: { json: true },
        aliases: { "POST /": "users.login" },
      },
    ],
  },
  methods: {
    authenticate(ctx: Context<unknown, Meta>, _route: unknown, request: IncomingMessage) {
      const { authorization, "idempotency-key": key } = request.headers;
      if (typeof key !== "string" || !idempotencyKeyOf.test(key)) {
        throw new Errors.MoleculerClientError("Idempotency-Key: 1 to 128 visible characters", 422);
      }
      try {
        ctx.meta.userId = userIdOf(authorization?.slice("Bearer ".length) ?? "");
      } catch {
        throw new Errors.MoleculerClientError("Invalid or expired token", 401);
      }
      ctx.meta.idempotencyKey = key;
    },
  },
});

await broker.start();
await broker.waitForServices(["users", "orders"], 10_000, 20);
announce(addressOf((api as unknown as { server: { address(): unknown } }).server));
