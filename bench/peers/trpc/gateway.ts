import { createTRPCClient, wsLink } from "@trpc/client";
import { TRPCError } from "@trpc/server";
import { z } from "zod";
import { announce, ordersAddress, usersAddress } from "../process.ts";
import { userIdOf } from "../token.ts";
import type { OrdersRouter } from "./orders.ts";
import type { UsersRouter } from "./users.ts";
import { credentials, idempotencyKeyOf, itemsOf, serve, socketTo, t } from "./wire.ts";

const users = createTRPCClient<UsersRouter>({ links: [wsLink({ client: socketTo(usersAddress) })] });
const orders = createTRPCClient<OrdersRouter>({ links: [wsLink({ client: socketTo(ordersAddress) })] });

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
