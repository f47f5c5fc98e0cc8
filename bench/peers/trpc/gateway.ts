import { TRPCError } from "@trpc/server";
import { z } from "zod";
import { announce, ordersAddress, usersAddress } from "../process.ts";
import { userIdOf } from "../token.ts";
import type { OrdersRouter } from "./orders.ts";
import type { UsersRouter } from "./users.ts";
import { credentials, dial, idempotencyKeyOf, itemsOf, serve, t } from "./wire.ts";

const users = dial<UsersRouter>(usersAddress).api;
const orders = dial<OrdersRouter>(ordersAddress).api;

function verified(token: string): string {
  try {
    return userIdOf(token);
  } catch {
    throw new TRPCError({ code: "UNAUTHORIZED", message: "Invalid or expired token" });
  }
}

const router = t.router({
  login: t.procedure.input(credentials).mutation(({ input }) => users.login.mutate(input)),
  createOrder: t.procedure
    .input(z.object({ token: z.string(), items: itemsOf, idempotencyKey: idempotencyKeyOf }))
    .mutation(({ input: { token, items, idempotencyKey } }) =>
      orders.createOrder.mutate({ userId: verified(token), items, idempotencyKey }),
    ),
});

export type GatewayRouter = typeof router;

announce(await serve(router));
